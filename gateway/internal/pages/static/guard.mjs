// What asks for a fresh confirmation, or for leave to bind another factor: the page asks for it and goes on.
import { post, signIn } from './api.mjs';
import { alarm, find, press, show, submit, tell } from './dom.mjs';
import { ready } from './factor.mjs';
import * as passkey from './passkey.mjs';

// guarded returns guard(call, then): call is tried; when it is refused until the person confirms, or shows a recovery code,
// that is asked for, and call is tried again with { recoveryCode }, or with { password } where that is enough. then gets its answer. home leads back to the page.
export function guarded(session, home) {
  let again = async () => {};
  let enough = false; // whether the password is, without a second factor

  async function guard(call, then, allowed = {}) {
    let answer;
    try {
      answer = await call(allowed);
    } catch (error) {
      again = (more = {}) => guard(call, then, more);
      if (error.reason === 'STEP_UP_REQUIRED') return confirmFirst(error, false);
      if (error.reason === 'PASSWORD_REQUIRED') return confirmFirst(error, true);
      if (error.reason === 'ENROLMENT_NOT_ALLOWED' && !allowed.recoveryCode) return show('allow');
      throw error;
    }
    await then(answer);
  }

  // People with a portal login have their password only; for more they sign in anew.
  function confirmFirst(error, byPassword) {
    enough = byPassword;
    const contact = session().kind === 'PRINCIPAL_KIND_CONTACT';
    if (contact && !enough) return signIn();
    alone.hidden = contact || !passkey.supported();
    tell('');
    show('confirm');
    if (error.metadata.why) alarm(error.metadata.why);
  }

  const confirmed = async () => {
    tell('');
    await again();
  };
  const ask = ready(async (challenge, proof) => {
    await post('/v1/session:verifyStepUp', { challenge: challenge.challenge, ...proof });
    await confirmed();
  });
  submit(find('#confirm-form'), async ({ password }, form) => {
    if (enough) {
      form.reset();
      return again({ password });
    }
    const { challenge } = await post('/v1/session:startStepUp', { password });
    form.reset();
    ask({ ...challenge, factors: (challenge.factors ?? []).filter((kind) => kind !== 'FACTOR_KIND_RECOVERY_CODE') });
    show('factor');
  });
  const alone = find('#confirm-passkey');
  press(alone, async () => {
    const { challenge } = await post('/v1/session:startStepUp', {});
    const passkeyAssertion = await passkey.get(challenge.passkeyOptions);
    await post('/v1/session:verifyStepUp', { challenge: challenge.challenge, passkeyAssertion });
    await confirmed();
  });
  submit(find('#allow-form'), async ({ recoveryCode }, form) => {
    form.reset();
    await again({ recoveryCode: recoveryCode.trim() });
  });
  press(find('#ask-approval'), async () => {
    await post('/v1/factors:requestEnrolment');
    await home();
    tell('The administrators of your firm were asked. You can go on when one of them has allowed it.');
  });
  return guard;
}
