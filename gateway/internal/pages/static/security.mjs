// The page of one's own account: factors, password, sessions.
import { get, post, signIn } from './api.mjs';
import { alarm, attempt, find, make, press, show, submit, tell, when } from './dom.mjs';
import { guarded } from './guard.mjs';
import * as passkey from './passkey.mjs';
import { path, quiet, matrix } from './qr.mjs';

const kinds = {
  FACTOR_KIND_PASSKEY: 'Passkey', FACTOR_KIND_TOTP: 'Authenticator program', FACTOR_KIND_SMS_PIN: 'PIN by text message',
  FACTOR_KIND_EMAIL_PIN: 'PIN by e-mail', FACTOR_KIND_RECOVERY_CODE: 'Recovery codes',
};
const shown = {
  pwd: 'password', sms: 'PIN by text message', email: 'PIN by e-mail', otp: 'code', hwk: 'passkey', swk: 'passkey', user: '', recovery: 'recovery code',
};
const fixed = ['factors/email', 'factors/recovery-codes']; // what nobody removes here

const stronger = ['FACTOR_KIND_PASSKEY', 'FACTOR_KIND_TOTP'];

let session = {};
let firm = '';
let enrolment = '';

const home = async () => {
  try {
    show('security');
    await fill();
  } catch (error) {
    if (error.status !== 401) throw error;
    signIn(error.reason === 'SESSION_LOCKED' ? 'unlock' : ''); // enrolling what the firm asks for ends the session, too
  }
};
const guard = guarded(() => session, home);

async function fill() {
  find('#who').textContent = `Signed in as ${session.displayName}${firm && ` at ${firm}`}, until ${when(session.expireTime)}.`;
  const { factors } = await get('/v1/factors?page_size=100');
  find('#factors').replaceChildren(...factors.map(factorItem));
  find('#change-mobile').textContent = factors.some((f) => f.kind === 'FACTOR_KIND_SMS_PIN') ? 'Change the mobile' : 'Add a mobile';
  find('#risk').hidden = !session.riskNotice || factors.some((f) => stronger.includes(f.kind) && f.allowed);
  find('#risk-notice').textContent = session.riskNotice ?? '';
  find('#sessions').replaceChildren();
  await moreSessions('');
}

function factorItem(f) {
  const marks = [
    f.displayName, f.synced && 'on several devices', f.createTime && `since ${when(f.createTime)}`, f.lastUseTime && `last used ${when(f.lastUseTime)}`,
    f.kind === 'FACTOR_KIND_RECOVERY_CODE' && `${f.codesLeft ?? 0} left`, f.disabled && 'switched off after too many wrong codes',
    !f.allowed && 'not taken by your firm',
  ].filter(Boolean);
  const item = make('li', {}, make('p', {}, make('strong', {}, kinds[f.kind] ?? f.kind), make('br'), marks.join(', ')));
  if (!fixed.includes(f.name)) item.append(remover(f, [kinds[f.kind], f.displayName].filter(Boolean).join(' ')));
  return item;
}

function remover(f, label) {
  const button = make('button', { type: 'button', class: 'plain', 'aria-label': `Remove ${label}` }, 'Remove');
  press(button, async () => {
    if (!confirm(`Remove ${label}?`)) return;
    await guard(() => post(`/v1/${f.name}:remove`), async () => {
      tell('Removed.');
      await home();
    });
  });
  return button;
}

async function moreSessions(token) {
  const { sessions, nextPageToken } = await get(`/v1/sessions?page_size=50&page_token=${encodeURIComponent(token)}`);
  find('#sessions').append(...sessions.map(sessionItem));
  const more = find('#more-sessions');
  more.hidden = !nextPageToken;
  more.onclick = () => attempt(more, () => moreSessions(nextPageToken));
}

function sessionItem(s) {
  const sent = s.methods?.some((m) => m === 'sms' || m === 'email'); // then the code is that PIN
  const how = [...new Set((s.methods ?? []).filter((m) => m !== 'otp' || !sent).map((m) => shown[m] ?? m).filter(Boolean))].join(' and ');
  const marks = [s.addIn && `Add-In ${s.addIn}`, s.origin && `from ${s.origin}`, `since ${when(s.createTime)}`, how && `by ${how}`, s.locked && 'locked'].filter(Boolean);
  const item = make('li', {}, make('p', {}, make('strong', {}, s.current ? 'This browser' : s.displayName), make('br'), marks.join(', ')));
  if (s.current) return item;
  const button = make('button', { type: 'button', class: 'plain', 'aria-label': `End the session ${marks.join(', ')}` }, 'End');
  press(button, async () => {
    await guard((allowed) => post(`/v1/${s.name}:revoke`, allowed), async () => {
      item.remove();
      await home();
      tell('The session has ended.');
    });
  });
  return item.append(button), item;
}

// Recovery codes come with the first factor of one's own, and when they are asked for.
async function finished(answer, words) {
  tell(words);
  find('#must').hidden = !session.mustEnrol;
  if (!answer.recoveryCodes?.length) return home();
  find('#code-list').replaceChildren(...answer.recoveryCodes.map((code) => make('li', {}, code)));
  show('codes');
}

press(find('#print'), () => print());
press(find('#make-codes'), () => guard(() => post('/v1/factors:generateRecoveryCodes'), (answer) => finished(answer, 'The codes you had before are void.')));

press(find('#add-passkey'), () => guard((allowed) => post('/v1/factors:startPasskey', allowed), (answer) => {
  enrolment = answer;
  find('#name').value = 'This device';
  show('name-passkey');
}));
submit(find('#name-form'), async ({ displayName }) => {
  const passkeyAttestation = await passkey.create(enrolment.passkeyOptions);
  await finished(await post('/v1/factors:finishPasskey', { enrolment: enrolment.enrolment, displayName, passkeyAttestation }), 'Your passkey is ready.');
});

// The safer way of those there are on this device.
press(find('#safer'), () => find(passkey.supported() ? '#add-passkey' : '#add-totp').click());

press(find('#add-totp'), () => guard((allowed) => post('/v1/factors:startTotp', allowed), (answer) => {
  enrolment = answer;
  const dark = matrix(answer.otpauthUri);
  const size = dark.length + 2 * quiet;
  find('#qr').setAttribute('viewBox', `0 0 ${size} ${size}`);
  find('#qr path').setAttribute('d', path(dark));
  find('#secret').textContent = answer.secret.match(/.{1,4}/g).join(' ');
  find('#otpauth').href = answer.otpauthUri;
  show('totp');
}));
submit(find('#enrol-totp-form'), async ({ code }) => {
  await finished(await post('/v1/factors:finishTotp', { enrolment: enrolment.enrolment, code: code.replace(/\s/g, '') }), 'Your authenticator program is ready.');
});

press(find('#change-mobile'), () => show('mobile'));
submit(find('#mobile-form'), ({ mobile }) => guard((allowed) => post('/v1/factors:startMobile', { mobile, ...allowed }), (answer) => {
  enrolment = answer;
  find('#mobile-hint').textContent = `A PIN was sent to ${answer.destinationHint}.`;
  show('mobile-pin');
}));
submit(find('#mobile-pin-form'), async ({ pin }) => {
  await finished(await post('/v1/factors:finishMobile', { enrolment: enrolment.enrolment, pin: pin.replace(/\s/g, '') }), 'Your mobile was changed.');
});

submit(find('#password-form'), async ({ currentPassword, newPassword }, form) => {
  await post('/v1/password:change', { currentPassword, newPassword });
  form.reset();
  tell('Your password was changed.');
  await fill();
});

press(find('#sign-out'), async () => {
  await post('/v1/session:signOut');
  location.replace('/sign-in');
});
for (const back of document.querySelectorAll('.back')) press(back, async () => { tell(''); await home(); });

// firmName is what the person's firm is called; nothing for operators, and while all they may do is to add a factor.
async function firmName() {
  if (!session.firm || session.mustEnrol) return '';
  return get(`/v1/${session.firm}`).then((answer) => answer.firm.displayName, () => '');
}

async function start() {
  try {
    session = (await get('/v1/session')).session;
  } catch (error) {
    if (error.status === 401) return signIn(error.reason === 'SESSION_LOCKED' ? 'unlock' : '');
    throw error;
  }
  firm = await firmName();
  find('#username').value = session.displayName;
  find('#add-passkey').hidden = !passkey.supported();
  const must = find('#must');
  must.hidden = !session.mustEnrol && location.hash !== '#recovered';
  must.textContent = session.mustEnrol
    ? 'Your firm asks for another way to confirm that it is you. Add one below, then sign in with it: until then, this page is all there is.'
    : 'You signed in with a recovery code. Add another way now, while you may: for ten minutes. Then remove what you have lost.';
  await home();
}
start().catch((error) => alarm(error.message));
