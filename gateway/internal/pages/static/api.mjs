// Calls of the suite's REST API. The session is a cookie that scripts can't read; a second cookie proves that a call comes
// from this page. Nothing is stored.

// Refused is a problem document (RFC 9457), with a sentence for people.
export class Refused extends Error {
  constructor(problem) {
    super(sentence(problem));
    this.reason = problem.reason ?? '';
    this.metadata = problem.metadata ?? {};
    this.status = problem.status;
  }
}

const words = {
  SIGN_IN_REFUSED: 'That does not fit. Check what you entered.',
  CHALLENGE_EXPIRED: 'This took too long, or was used already. Start again.',
  ENROLMENT_EXPIRED: 'This took too long, or was used already. Start again.',
  SESSION_ENDED: 'You are not signed in any more.',
  INVITATION_INVALID: 'This invitation was used already, or is too old. If you have chosen a password, sign in; otherwise ask for another invitation.',
  PASSKEY_INVALID: 'This passkey was not taken. Try again, or use another way.',
  FACTOR_NOT_ALLOWED: 'Your firm does not allow this way to sign in.',
  RESET_INVALID: 'This code is not valid (any more). Ask for a new one.',
  BUSY: 'Many people are signing in right now. Try again in a moment.',
  CSRF: 'This page is too old. Load it again.',
};

function sentence(p) {
  const fields = (p.fields ?? []).map((f) => f.detail).filter(Boolean);
  if (p.reason === 'PASSWORD_REFUSED' && fields.length) return `Choose another password: ${fields.join('; ')}.`;
  if (p.reason === 'TOO_MANY_ATTEMPTS' && p.metadata?.retry_time) return `Too many attempts. Try again after ${clock(p.metadata.retry_time)}.`;
  if (p.reason === 'INVITATION_INVALID' && p.metadata?.renewed) return 'This invitation was too old. Another one is on its way to you by e-mail.';
  if (p.reason === 'INVALID_REQUEST' && fields.length) return `Check what you entered: it ${fields.join('; it ')}.`;
  if (p.reason === 'PIN_UNDELIVERABLE' && p.metadata?.why) return `No PIN could be sent: ${p.metadata.why}.`;
  if (words[p.reason]) return words[p.reason];
  const said = [p.detail, ...fields].filter(Boolean).join(': ') || 'Something went wrong. Try again.';
  return said[0].toUpperCase() + said.slice(1) + (/[.!?]$/.test(said) ? '' : '.');
}

const clock = (text) => new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' }).format(new Date(text));

const cookie = (name) => document.cookie.split('; ').find((c) => c.startsWith(`${name}=`))?.slice(name.length + 1) ?? '';

async function call(method, path, body) {
  const headers = { 'X-Concord-Session': 'cookie' };
  const csrf = cookie('__Host-concord_csrf') || cookie('concord_csrf');
  if (csrf) headers['X-Concord-Csrf'] = csrf;
  if (body) headers['Content-Type'] = 'application/json';
  let response;
  try {
    response = await fetch(path, { method, headers, body: body && JSON.stringify(body), credentials: 'same-origin', redirect: 'error', cache: 'no-store' });
  } catch {
    throw new Refused({ reason: 'OFFLINE', detail: 'The suite can not be reached. Check your connection and try again.' });
  }
  const answer = await response.json().catch(() => ({ detail: 'The answer could not be read. Try again.', status: response.status }));
  if (!response.ok) throw new Refused(answer);
  return answer;
}

export const get = (path) => call('GET', path);
export const post = (path, body = {}) => call('POST', path, body);

// The pages that somebody may be led to after signing in. An address from outside is never followed.
const pages = ['/account/security', '/oauth2/consent'];

// here is where the browser is, to come back to after signing in.
export const here = () => location.pathname + location.search + location.hash;

// signIn leaves for the sign-in page, to come back here.
export function signIn(step = '') {
  location.assign(`/sign-in#${new URLSearchParams({ ...(step && { step }), next: here() })}`);
}

// next reads where to go after signing in from a text of unknown origin.
export function next(text) {
  let target;
  try {
    target = new URL(text, location.origin);
  } catch {
    return pages[0];
  }
  if (target.origin !== location.origin || !pages.includes(target.pathname)) return pages[0];
  return target.pathname + target.search + target.hash;
}
