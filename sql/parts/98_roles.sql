-------------------------------------------------------------------------------
-- Roles: who may do what, granted by one call
-------------------------------------------------------------------------------

-- What PostgreSQL is to GRANT. Owners and writers get columns and functions only: a right to change a whole
-- table is one to lock it. Columns are those that there are now: after an update, grant again.
CREATE FUNCTION bm_webhook_internal.privileges_of(kind text) RETURNS SETOF text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH seen (relation, without) AS (VALUES
		('application', '{}'::text[]), ('endpoint', '{}'), ('endpoint_state', '{}'),
		('endpoint_secret', '{secret}'), ('event', '{}'),
		('delivery', '{}'), ('failed_attempt', '{}'), ('redelivery', '{}'), ('set_aside', '{}'), ('operation', '{}'),
		('cursor', '{}'), ('event_type', '{}'), ('endpoint_minute', '{}'), ('dispatcher_minute', '{}'), ('message_day', '{}'),
		('delivery_day', '{}')
	), written (relation, command, without) AS (VALUES
		('endpoint', 'INSERT',
			'{id,created_at,updated_at,deleted_at,events_since,paused_at,credentials,credentials_key_id,use_proxy}'::text[]),
		('endpoint', 'UPDATE',
			'{id,application,created_at,updated_at,deleted_at,events_since,paused_at,credentials,credentials_key_id,use_proxy}'),
		('endpoint_secret', 'INSERT', '{id,key_id,created_at}')
	), columns AS (
		SELECT relation, 'SELECT' AS command, without FROM seen WHERE kind = 'owner' OR kind = 'operator' AND without <> '{}'
		UNION ALL
		SELECT relation, command, without FROM written WHERE kind = 'owner'
	), called (name, kinds) AS (
		VALUES ('emit', '{writer}'::text[]), ('message_status', '{writer}'), ('message_received', '{writer}'),
		('message_clicked', '{writer}'),
		('watch', '{watcher}'), ('unwatch', '{watcher}'), ('capture', '{watcher}'), ('watch_messages', '{watcher}'),
		('watch_replies', '{watcher}'),
		('secret', '{owner}'), ('rotate_secret', '{owner}'), ('delete_endpoint', '{owner}'), ('delete_secret', '{owner}'),
		('ping', '{owner}'), ('preview', '{owner}'), ('erase', '{owner}'), ('pause', '{owner}'), ('resume', '{owner}'),
		('cancel', '{owner}'), ('recover', '{owner}'), ('redeliver', '{owner}'), ('put_back', '{owner}'),
		('set_aside', '{owner}'), ('public_key', '{owner,operator}'), ('jwks', '{owner,operator}'),
		('verify_endpoint', '{owner}'),
		('explain_delivery', '{owner,operator}'), ('message_history', '{owner,operator}'),
		('message_rate', '{owner,operator}'), ('latency', '{owner,operator}'), ('delivery_rate', '{owner,operator}'),
		('status', '{operator}'),
		('redeliver_each', '{owner}'), ('cancel_each', '{owner}')
		UNION ALL
		SELECT DISTINCT p.proname::text, '{owner,operator}'::text[] FROM pg_proc p
			WHERE p.pronamespace = 'bm_webhook'::regnamespace AND p.proname ~ '^console_'
	)
	SELECT 'USAGE ON SCHEMA bm_webhook' || CASE WHEN kind = 'writer' THEN '' ELSE ', bm_webhook_internal' END
	UNION ALL
	SELECT format('%s (%s) ON bm_webhook.%I', c.command, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum),
			c.relation)
		FROM columns c JOIN pg_attribute a ON a.attrelid = format('bm_webhook.%I', c.relation)::regclass
			AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> ALL (c.without)
		GROUP BY c.relation, c.command
	UNION ALL
	SELECT format('SELECT ON bm_webhook.%I', relation) FROM seen WHERE kind = 'operator' AND without = '{}'
	UNION ALL
	SELECT format('SELECT ON bm_webhook.%I', c.relname) FROM pg_class c
		WHERE c.relnamespace = 'bm_webhook'::regnamespace AND (kind IN ('owner', 'operator') AND c.relkind = 'v'
			AND c.relname NOT IN ('watch_list', 'stat_dispatcher', 'partition_list')
			OR kind = 'operator'
			AND c.relname IN ('watch_list', 'stat_dispatcher', 'partition_list', 'paused', 'status_map')
			OR kind = 'watcher' AND c.relname = 'watch_list')
	UNION ALL
	-- redeliver(event) is for who may change deliveries
	SELECT format('EXECUTE ON FUNCTION %s', p.oid::regprocedure) FROM called c
		JOIN pg_proc p ON p.proname = c.name AND p.pronamespace = 'bm_webhook'::regnamespace
		WHERE kind = ANY (c.kinds) AND NOT (p.proname = 'redeliver' AND p.proargtypes[0] = 'uuid'::regtype)
$$;
COMMENT ON FUNCTION bm_webhook_internal.privileges_of(text) IS
	'the privileges of an owner, an operator, a writer or a watcher, as they are written in GRANT';

-- Known by one privilege that nobody else is granted.
CREATE FUNCTION bm_webhook_internal.granted(kind text) RETURNS SETOF regrole
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT x.grantee::regrole FROM pg_class c, aclexplode(c.relacl) x
		WHERE kind = 'operator' AND c.oid = 'bm_webhook.operation'::regclass
	UNION
	SELECT x.grantee::regrole FROM pg_attribute a, aclexplode(a.attacl) x WHERE kind = 'owner'
		AND a.attrelid = 'bm_webhook.endpoint'::regclass AND a.attname = 'url' AND x.privilege_type = 'INSERT'
	UNION
	SELECT x.grantee::regrole FROM pg_proc p, aclexplode(p.proacl) x WHERE p.pronamespace = 'bm_webhook'::regnamespace
		AND p.proname = CASE kind WHEN 'writer' THEN 'emit' WHEN 'watcher' THEN 'watch' END
$$;
COMMENT ON FUNCTION bm_webhook_internal.granted(text) IS
	'the roles that have been granted what an owner, an operator, a writer or a watcher may, and not their members';

-- A list of privileges must fit into one row of pg_class or pg_attribute: thousands of owners have theirs from a group.
CREATE FUNCTION bm_webhook_internal.has_owner_group(role regrole) RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (SELECT FROM bm_webhook_internal.granted('owner') g JOIN pg_roles r ON r.oid = role
		WHERE g <> role AND NOT r.rolsuper AND pg_has_role(role, g, 'USAGE'))
$$;
COMMENT ON FUNCTION bm_webhook_internal.has_owner_group(regrole) IS
	'does the role inherit what an owner may from a role of which it is a member?';

CREATE FUNCTION bm_webhook_internal.check_grant(role regrole) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_extension e JOIN pg_roles r ON r.rolname = current_user
			WHERE e.extname = 'bm_webhook' AND (r.rolsuper OR r.oid = e.extowner)) THEN
		PERFORM bm_webhook_internal.refuse('only a superuser, or the owner of the extension, can grant and revoke this',
			'Ask an administrator.', '42501');
	ELSIF role IS NULL THEN
		PERFORM bm_webhook_internal.refuse('"role" must not be null', 'Name a role.', '22004');
	ELSIF NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = role) THEN
		PERFORM bm_webhook_internal.refuse('there is no such role', 'Roles are the rows of pg_roles.', '42704');
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.check_grant(regrole) IS 'may the current user grant this? 22004, 42501, 42704';

CREATE FUNCTION bm_webhook_internal.grant_privileges(kind text, role regrole) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	privilege text;
BEGIN
	PERFORM bm_webhook_internal.check_grant(role);
	FOR privilege IN SELECT bm_webhook_internal.privileges_of(kind) LOOP
		EXECUTE format('GRANT %s TO %s', privilege, role);
	END LOOP;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.grant_privileges(text, regrole) IS
	'grants a role what an owner, an operator, a writer or a watcher may, if the caller can; 22004, 42501, 42704';

-- With what the others had as well it takes away what the role has for another reason, too: that it gets back.
CREATE FUNCTION bm_webhook_internal.revoke_privileges(kind text, role regrole) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	others text[];
	privilege text;
BEGIN
	PERFORM bm_webhook_internal.check_grant(role);
	others = ARRAY(SELECT k FROM unnest('{owner,operator,writer,watcher}'::text[]) k
		WHERE k <> kind AND role IN (SELECT bm_webhook_internal.granted(k)));
	FOR privilege IN SELECT bm_webhook_internal.privileges_of(kind) LOOP
		EXECUTE format('REVOKE %s FROM %s', privilege, role);
	END LOOP;
	PERFORM bm_webhook_internal.grant_privileges(k, role) FROM unnest(others) k;
END
$$;
COMMENT ON FUNCTION bm_webhook_internal.revoke_privileges(text, regrole) IS
	'revokes what was granted to an owner, an operator, a writer or a watcher; 22004, 42501, 42704';

CREATE FUNCTION bm_webhook.grant_owner(application text, role regrole) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM bm_webhook_internal.check_grant(role);
	IF NOT bm_webhook_internal.has_owner_group(role) THEN
		PERFORM bm_webhook_internal.grant_privileges('owner', role);
	END IF;
	UPDATE bm_webhook.application a SET owner = role WHERE a.name = grant_owner.application AND a.deleted_at IS NULL;
	IF NOT FOUND THEN
		PERFORM bm_webhook_internal.refuse(format('application "%s" does not exist', application),
			'Applications are the rows of bm_webhook.application.', '42704');
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook.grant_owner(text, regrole) IS
	'gives an application to a role, which manages its endpoints and secrets and sees its log, and nothing of others; '
	'22004, 42501, 42704';

CREATE FUNCTION bm_webhook_internal.is_owner(role regrole) RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (SELECT FROM bm_webhook.application a JOIN pg_roles r ON r.oid = a.owner
		WHERE a.owner = role OR NOT r.rolsuper AND pg_has_role(a.owner, role, 'MEMBER'))
$$;
COMMENT ON FUNCTION bm_webhook_internal.is_owner(regrole) IS
	'does the role, or one of its members, own an application?';

CREATE FUNCTION bm_webhook.revoke_owner(application text) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	role regrole;
BEGIN
	PERFORM bm_webhook_internal.check_grant(quote_ident(current_user)::regrole);
	SELECT a.owner INTO role FROM bm_webhook.application a WHERE a.name = revoke_owner.application
		AND a.deleted_at IS NULL FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		PERFORM bm_webhook_internal.refuse(format('application "%s" does not exist', application),
			'Applications are the rows of bm_webhook.application.', '42704');
	END IF;
	UPDATE bm_webhook.application a SET owner = 0::regrole WHERE a.name = revoke_owner.application;
	IF role IN (SELECT bm_webhook_internal.granted('owner')) AND NOT bm_webhook_internal.is_owner(role)
		AND NOT (SELECT r.rolsuper FROM pg_roles r WHERE r.oid = role) THEN
		PERFORM bm_webhook_internal.revoke_privileges('owner', role);
	END IF;
END
$$;
COMMENT ON FUNCTION bm_webhook.revoke_owner(text) IS
	'an application belongs to nobody any more, and who owned it may do no more than before, if it was the last; 42501, '
	'42704';

CREATE FUNCTION bm_webhook.grant_owner_group(role regrole) RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT bm_webhook_internal.grant_privileges('owner', role)
$$;
COMMENT ON FUNCTION bm_webhook.grant_owner_group(regrole) IS
	'makes a role the group from which owners have their privileges: its members, of whom grant_owner() gives each an '
	'application, see nothing of one another; 22004, 42501, 42704';
CREATE FUNCTION bm_webhook.revoke_owner_group(role regrole) RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT bm_webhook_internal.revoke_privileges('owner', role)
$$;
COMMENT ON FUNCTION bm_webhook.revoke_owner_group(regrole) IS 'undoes grant_owner_group(); 22004, 42501, 42704';

CREATE FUNCTION bm_webhook.grant_operator(role regrole) RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT bm_webhook_internal.grant_privileges('operator', role)
$$;
COMMENT ON FUNCTION bm_webhook.grant_operator(regrole) IS
	'lets a role see everything, but no secret, and change nothing; 22004, 42501, 42704';
CREATE FUNCTION bm_webhook.revoke_operator(role regrole) RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT bm_webhook_internal.revoke_privileges('operator', role)
$$;
COMMENT ON FUNCTION bm_webhook.revoke_operator(regrole) IS 'undoes grant_operator(); 22004, 42501, 42704';

CREATE FUNCTION bm_webhook.grant_writer(role regrole) RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT bm_webhook_internal.grant_privileges('writer', role)
$$;
COMMENT ON FUNCTION bm_webhook.grant_writer(regrole) IS
	'lets a role make events of any application by emit() and the message_*() functions, and nothing else; 22004, 42501, '
	'42704';
CREATE FUNCTION bm_webhook.revoke_writer(role regrole) RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT bm_webhook_internal.revoke_privileges('writer', role)
$$;
COMMENT ON FUNCTION bm_webhook.revoke_writer(regrole) IS 'undoes grant_writer(); 22004, 42501, 42704';

CREATE FUNCTION bm_webhook.grant_watcher(role regrole) RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT bm_webhook_internal.grant_privileges('watcher', role)
$$;
COMMENT ON FUNCTION bm_webhook.grant_watcher(regrole) IS
	'lets a role watch tables that it owns, or has the privilege TRIGGER on; 22004, 42501, 42704';
CREATE FUNCTION bm_webhook.revoke_watcher(role regrole) RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT bm_webhook_internal.revoke_privileges('watcher', role)
$$;
COMMENT ON FUNCTION bm_webhook.revoke_watcher(regrole) IS 'undoes grant_watcher(); 22004, 42501, 42704';
