// Consent to an Add-In (RFC 6749 §4.1, RFC 8252): the parameters of the authorization request come in the fragment. The
// browser goes back to the program only after the suite has taken its redirect address.
import { get, post, signIn } from './api.mjs';
import { alarm, find, press, show, submit } from './dom.mjs';

const asked = Object.fromEntries(new URLSearchParams(location.hash.slice(1) || location.search));
let session = {};

// back leads to the program, with the state that it sent.
function back(answer) {
  const target = new URL(asked.redirect_uri);
  for (const [name, value] of Object.entries({ ...answer, ...(asked.state && { state: asked.state }) })) target.searchParams.set(name, value);
  show('done');
  location.assign(target);
}

submit(find('#consent-form'), async () => {
  const answer = await post(`/v1/${session.firm}/addIns:authorize`, {
    addIn: asked.client_id, redirectUri: asked.redirect_uri, codeChallenge: asked.code_challenge, ...(asked.nonce && { nonce: asked.nonce }), ...(asked.scope && { scope: asked.scope }),
  });
  back({ code: answer.code, iss: answer.issuer });
});
press(find('#deny'), () => back({ error: 'access_denied', iss: location.origin }));
press(find('#other'), async () => {
  await post('/v1/session:signOut');
  signIn();
});

async function start() {
  let addIn;
  try {
    addIn = await get(`/v1/addIns/${encodeURIComponent(asked.client_id ?? '')}?${new URLSearchParams({ redirect_uri: asked.redirect_uri ?? '' })}`);
  } catch (error) {
    if (error.status >= 500 || error.status === 429 || error.reason === 'OFFLINE') throw error;
    return show('broken');
  }
  try {
    session = (await get('/v1/session')).session;
  } catch (error) {
    if (error.status === 401) return signIn(error.reason === 'SESSION_LOCKED' ? 'unlock' : '');
    throw error;
  }
  if (session.mustEnrol) return location.replace('/account/security#must-enrol');
  find('#add-in').textContent = addIn.displayName;
  find('#who').textContent = session.displayName;
  show('consent');
}
start().catch((error) => alarm(error.message));
