// The second step, for signing in and for confirming: whatever the challenge takes, in one place.
import { get, post } from './api.mjs';
import { find, press, submit, tell } from './dom.mjs';
import * as passkey from './passkey.mjs';

const has = (challenge, kind) => (challenge.factors ?? []).includes(`FACTOR_KIND_${kind}`);
const digits = (text) => (text ?? '').replace(/\s/g, '');
const lookEvery = 4000; // milliseconds between looks at whether the text message arrived
const longestWait = 60_000; // milliseconds until another PIN may be asked for, if the clocks here and there differ

// ready binds the forms of the second step once. verify gets what was shown, as the API names it: { pin, emailPin },
// { totpCode }, { passkeyAssertion } or { recoveryCode }. The answer asks for a challenge to be answered.
export function ready(verify) {
  let challenge = {};
  let timer = 0;
  let patience = 0;

  const send = async (proof) => {
    try {
      await verify(challenge, proof);
    } catch (error) {
      if (proof.passkeyAssertion) await look(); // what was asked is used up: the next try is asked anew
      throw error;
    }
    clearInterval(timer);
  };
  submit(find('#pin-form'), (fields) => send({ pin: digits(fields.pin), ...(fields.emailPin && { emailPin: digits(fields.emailPin) }) }));
  submit(find('#totp-form'), (fields) => send({ totpCode: digits(fields.totpCode) }));
  submit(find('#recovery-form'), (fields) => send({ recoveryCode: fields.recoveryCode.trim() }));
  submit(find('#passkey-form'), async () => send({ passkeyAssertion: await passkey.get(challenge.passkeyOptions) }));
  press(find('#resend'), () => resend(false));
  press(find('#by-email'), () => resend(true));
  press(find('#use-recovery'), () => {
    for (const form of document.querySelectorAll('#factor form')) form.hidden = form.id !== 'recovery-form';
    find('#use-recovery').hidden = true;
    find('#recovery').focus();
  });

  async function resend(byEmail) {
    const answer = await post(`/v1/sign-in/challenges/${encodeURIComponent(challenge.challenge)}:resend`, byEmail ? { byEmail } : {});
    tell(byEmail ? 'A PIN is on its way by e-mail.' : 'A new PIN is on its way. The one before is void.');
    ask(answer.challenge);
  }

  async function look() {
    const answer = await get(`/v1/sign-in/challenges/${encodeURIComponent(challenge.challenge)}`);
    const lost = answer.challenge.smsDelivery === 'DELIVERY_STATE_UNDELIVERED' && challenge.smsDelivery !== answer.challenge.smsDelivery;
    challenge = { ...challenge, ...answer.challenge };
    find('#by-email').hidden = !challenge.emailAvailable || challenge.channel === 'CHANNEL_EMAIL';
    if (lost) tell('The text message did not arrive.');
  }

  function ask(asked) {
    challenge = asked;
    const bySMS = asked.channel === 'CHANNEL_SMS' || asked.channel === 'CHANNEL_SMS_AND_EMAIL';
    const pins = bySMS || asked.channel === 'CHANNEL_EMAIL';
    const both = asked.channel === 'CHANNEL_SMS_AND_EMAIL';
    find('#pin-form').hidden = !pins;
    find('#totp-form').hidden = !has(asked, 'TOTP');
    find('#passkey-form').hidden = !asked.passkeyOptions || !passkey.supported();
    const nothingElse = ['#pin-form', '#totp-form', '#passkey-form'].every((form) => find(form).hidden); // factors lost, or no passkeys in this browser
    find('#recovery-form').hidden = !nothingElse || !has(asked, 'RECOVERY_CODE');
    find('#use-recovery').hidden = nothingElse || !has(asked, 'RECOVERY_CODE');
    find('#pin-hint').textContent = `A PIN was sent to ${asked.destinationHint}. It works once, for ten minutes.`;
    find('#pin-label').textContent = bySMS ? 'PIN from the text message' : 'PIN from the e-mail';
    find('#email-pin-part').hidden = !both;
    find('#email-pin').required = both;
    find('#by-email').hidden = !asked.emailAvailable || asked.channel === 'CHANNEL_EMAIL';
    for (const input of document.querySelectorAll('#factor input')) input.value = '';
    find('#resend').hidden = true;
    clearTimeout(patience);
    const wait = Math.min(Math.max(Date.parse(asked.resendTime) - Date.now(), 0), longestWait);
    if (pins) patience = setTimeout(() => { find('#resend').hidden = false; }, wait);
    clearInterval(timer);
    if (bySMS) timer = setInterval(() => (Date.now() < Date.parse(challenge.expireTime) ? look().catch(() => clearInterval(timer)) : clearInterval(timer)), lookEvery);
  }
  return ask;
}
