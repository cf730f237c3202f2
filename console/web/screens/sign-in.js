import { html, useState, post, session, sentence, Trouble } from '../lib.js';

// ended: what ended the session, if there was one; a console that was restarted does not know.
export function SignIn({ ended, onSignedIn }) {
	const [state, set] = useState({});
	const submit = async (event) => {
		event.preventDefault();
		const form = new FormData(event.target);
		set({ isBusy: true });
		try {
			const answer = await post('login', { user: form.get('user'), password: form.get('password') });
			session.csrf = answer.csrf;
			await onSignedIn();
		} catch (error) {
			set({ error });
		}
	};
	return html`<main class="sign-in"><h1>Webhooks</h1><p class="quiet">Sign in with your login of the database.</p>
		${ended ? html`<div class="trouble" role="alert"><strong>Your session ended.</strong>
			<p>${ended.sqlstate === '28000' ? 'The console does not know it any more.' : sentence(ended.message)} You come back to the page where you were${session.draft ? ', and to what you had typed' : ''}.</p></div>` : null}
		<form onSubmit=${submit}>
			<div class="field"><label for="user">User</label><input id="user" name="user" autocomplete="username" required autofocus /></div>
			<div class="field"><label for="password">Password</label><input id="password" name="password" type="password" autocomplete="current-password" required /></div>
			${state.error ? html`<${Trouble} error=${state.error} />` : null}
			${state.error?.sqlstate === '42501' ? html`<p>An administrator grants the rights: <code>SELECT bm_webhook.grant_owner('application', 'you')</code>, or <code>grant_operator('you')</code>.</p>` : null}
			<button class="main" disabled=${state.isBusy}>Sign in</button>
		</form></main>`;
}
