// The sign-in page: password, second step, passkey; a lost password, an invitation, a locked session.
import { Refused, get, next, post } from './api.mjs';
import { alarm, find, make, press, show, submit, tell } from './dom.mjs';
import { ready } from './factor.mjs';
import * as passkey from './passkey.mjs';

const challenges = '/v1/sign-in/challenges/';
const asked = new URLSearchParams(location.hash.slice(1));
let target = next(asked.get('next') ?? '');
let credentials = {};

// opened goes on to where the person wanted to, or to what they have to do first.
function opened(session) {
  if (session.mustEnrol) target = '/account/security#must-enrol';
  else if (session.methods?.includes('recovery')) target = '/account/security#recovered';
  location.replace(target);
}

const ask = ready(async (challenge, proof) => {
  const verb = proof.pin === undefined ? 'verifyFactor' : 'verify';
  try {
    opened((await post(`${challenges}${encodeURIComponent(challenge.challenge)}:${verb}`, proof)).session);
  } catch (error) {
    if (error.reason === 'CHALLENGE_EXPIRED') show('password');
    throw error;
  }
});

// choices pairs the firms somebody may sign in to with their names.
function choices({ firms, firm_names }) {
  const shown = JSON.parse(firm_names);
  return firms.split(' ').map((name, i) => [name, shown[i]]);
}

async function begin(firm) {
  try {
    const answer = await post('/v1/sign-in', { ...credentials, ...(firm && { firm }) });
    if (answer.challenge) {
      ask(answer.challenge);
      tell('');
      show('factor');
    } else opened(answer.session);
  } catch (error) {
    if (error.reason !== 'FIRM_AMBIGUOUS') throw error;
    find('#firm').replaceChildren(...choices(error.metadata).map(([name, shown]) => make('option', { value: name }, shown)));
    show('firm');
  }
}

submit(find('#password-form'), async (fields) => {
  credentials = { email: fields.email, password: fields.password };
  await begin();
});
submit(find('#firm-form'), (fields) => begin(fields.firm));

press(find('#passkey'), async () => {
  const { challenge } = await post('/v1/sign-in:startPasskey');
  const passkeyAssertion = await passkey.get(challenge.passkeyOptions);
  opened((await post(`${challenges}${encodeURIComponent(challenge.challenge)}:verifyFactor`, { passkeyAssertion })).session);
});
find('#passkey').hidden = !passkey.supported();

submit(find('#unlock-form'), async (fields) => {
  try {
    opened((await post('/v1/session:unlock', { password: fields.password })).session);
  } catch (error) {
    if (error.reason === 'SESSION_ENDED') show('password');
    throw error;
  }
});

press(find('#forgot'), () => show('forgot'));
press(find('#reset-again'), () => show('forgot'));
press(find('#other'), async () => { await post('/v1/session:discard', {}); show('password'); });
for (const back of document.querySelectorAll('.back')) press(back, () => { credentials = {}; tell(''); show('password'); });
submit(find('#forgot-form'), async (fields) => {
  await post('/v1/password:startReset', { email: fields.email });
  tell('If there is an account with this address, an e-mail with a link is on its way to it.');
});

// A code of an e-mail stands in the fragment, which no server and no other site sees; it leaves the address bar at once.
const code = location.hash.slice(1);
submit(find('#reset-form'), (fields) => chosen(post('/v1/password:finishReset', { resetCode: code || fields.code, newPassword: fields.password })));
submit(find('#invitation-form'), (fields) =>
  chosen(post('/v1/invitations:accept', { invitationCode: code || fields.code, password: fields.password, requestId: attemptID })));
const attemptID = crypto.randomUUID?.() ?? undefined; // a lost answer does not cost the invitation

async function chosen(answer) {
  const { email } = await answer;
  find('#email').value = email;
  show('password');
  tell('Your password is set. Sign in with it now.');
}

function choosing(step) {
  find(`#${step}-code-part`).hidden = !!code;
  find(`#${step}-code`).required = !code;
  if (code) history.replaceState(null, '', location.pathname);
  show(step);
}

async function start() {
  if (location.pathname === '/reset') return choosing('reset');
  if (location.pathname === '/invitation') return choosing('invitation');
  if (asked.get('step') === 'unlock') return show('unlock');
  if (document.cookie.includes('concord_csrf=')) {
    try {
      return opened((await get('/v1/session')).session);
    } catch (error) {
      if (error instanceof Refused && error.reason === 'SESSION_LOCKED') return show('unlock');
    }
  }
  show('password');
}
start().catch((error) => alarm(error.message));
