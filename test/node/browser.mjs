// Drives the suite's own pages in Chromium as a person does: accepts an invitation, signs in with PINs, makes a passkey and
// signs in by it alone, sets up an authenticator program, uses a recovery code, allows an Add-In. A page that breaks its
// own content policy, or throws, fails the run.
import assert from 'node:assert/strict';
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { once } from 'node:events';
import jsqr from 'jsqr';
import { chromium } from 'playwright-core';

const { SUITE, WORLD, EMAIL, MOBILE, INVITATION, COLLEAGUE, COLLEAGUE_NAME, COLLEAGUE_INVITATION, ADMINISTRATOR, CHROMIUM } = process.env;
const password = 'seven kettles over the meadow';
const other = 'eleven lanterns by the harbour';
const decode = jsqr.default ?? jsqr;

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1'] });
const wrong = [];
let [context, page, devtools, authenticatorId] = [];

// another takes another browser profile, with an authenticator of its own.
async function another() {
  context = await browser.newContext();
  page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on('pageerror', (error) => wrong.push(`threw ${error}`));
  page.on('console', (message) => {
    const ours = message.location().url.startsWith(SUITE); // and not the Add-In's own page
    if (ours && message.type() === 'error' && !/status of (400|401|403|404|409|412|429)/.test(message.text())) wrong.push(message.text());
  });
  devtools = await context.newCDPSession(page);
  await devtools.send('WebAuthn.enable');
  ({ authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', {
    options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
  }));
}
await another();

const button = (name) => page.getByRole('button', { name, exact: true });
const field = (name) => page.getByLabel(name, { exact: true }).filter({ visible: true });
const heading = (name) => page.getByRole('heading', { name, level: 1 }).waitFor();
const call = (path) => page.evaluate(async (at) => (await fetch(at)).json(), path);

const told = process.argv[2];
let story = 'own';

async function step(name, run) {
  if (story !== told) return;
  const began = Date.now();
  try {
    await run();
    assert.deepEqual(wrong, [], 'the page complained');
  } catch (error) {
    console.error(`${name} failed at ${page.url()}\n${error.stack}\ncomplaints: ${wrong.join('\n')}\n${await page.locator('main').innerText().catch(() => '')}`);
    await browser.close();
    process.exit(1);
  }
  console.log(`ok ${name} (${Date.now() - began} ms)`);
}

// newest is the id of the last message to somebody, messages those that came after it.
async function messages(to, after = '', wait = '15s') {
  const answer = await fetch(`${WORLD}/inbox/messages?${new URLSearchParams({ to, after, wait })}`);
  return (await answer.json()).messages ?? [];
}
const newest = async (to) => (await messages(to, '', '0s')).at(-1)?.id ?? '';
async function pin(to, after) {
  for (const m of await messages(to, after)) {
    const found = m.text.match(/\b[0-9]{6}\b/);
    if (found) return found[0];
  }
  throw new Error(`no PIN arrived for ${to}`);
}

// totp is the code that a program shows now, or showed before; it waits when that is about to change.
async function totp(secret, back) {
  const left = 30_000 - (Date.now() % 30_000);
  if (left < 4_000) await page.waitForTimeout(left + 100);
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const bits = [...secret.replaceAll(' ', '')].map((c) => alphabet.indexOf(c).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) - back));
  const sum = createHmac('sha1', key).update(counter).digest();
  const code = (sum.readUInt32BE(sum.at(-1) & 15) & 0x7fffffff) % 1_000_000;
  return String(code).padStart(6, '0');
}

// read decodes the QR code that the page shows.
async function read(svg) {
  const { path, size } = await svg.evaluate((s) => ({ path: s.querySelector('path').getAttribute('d'), size: Number(s.getAttribute('viewBox').split(' ')[2]) }));
  const scale = 4;
  const pixels = new Uint8ClampedArray((size * scale) ** 2 * 4).fill(255);
  for (const [, x, y] of path.matchAll(/M(\d+) (\d+)h1v1h-1z/g)) {
    for (let i = 0; i < scale * scale; i++) {
      const at = ((Number(y) * scale + Math.floor(i / scale)) * size * scale + Number(x) * scale + (i % scale)) * 4;
      pixels.fill(0, at, at + 3);
    }
  }
  return decode(pixels, size * scale, size * scale).data;
}

async function passwordFirst(word = password) {
  await page.goto(`${SUITE}/sign-in`);
  await field('E-mail address').fill(EMAIL);
  await field('Password').fill(word);
  await page.keyboard.press('Enter'); // a form is sent by the keyboard alone
}

async function signOut() {
  await page.goto(`${SUITE}/account/security`);
  await button('Sign out').click();
  await heading('Sign in');
}

let kept = [];
let secret = '';

await step('accept the invitation', async () => {
  await page.goto(INVITATION);
  await heading('Welcome to Concord');
  assert.equal(new URL(page.url()).hash, '', 'the code left the address bar');
  await field('Choose your password').fill('password1234567');
  await button('Set the password').click();
  await page.getByRole('alert').filter({ hasText: 'Choose another password' }).waitFor();
  await field('Choose your password').fill(password);
  await button('Set the password').click();
  await heading('Sign in');
  assert.equal(await field('E-mail address').inputValue(), EMAIL);
});

await step('sign in with the PINs of text message and e-mail', async () => {
  const before = [await newest(MOBILE), await newest(EMAIL)];
  await field('Password').fill('not this one at all');
  await button('Sign in').click();
  await page.getByRole('alert').filter({ hasText: 'does not fit' }).waitFor();
  await field('Password').fill(password);
  await button('Sign in').click();
  await heading('Confirm that it is you');
  await field('PIN from the text message').fill(await pin(MOBILE, before[0]));
  await field('PIN from the e-mail').fill(await pin(EMAIL, before[1]));
  await button('Continue').first().click();
  await heading('Account security');
});

await step('keep the session where no script reads it', async () => {
  const seen = await page.evaluate(() => ({ cookies: document.cookie, stored: localStorage.length + sessionStorage.length }));
  assert.equal(seen.stored, 0);
  assert.doesNotMatch(seen.cookies, /concord_session/);
  const session = (await context.cookies()).find((c) => c.name.endsWith('concord_session'));
  assert.ok(session.httpOnly && session.sameSite === 'Lax');
  const refused = await page.evaluate(async () => (await fetch('/v1/session:signOut', { method: 'POST', body: '{}' })).status);
  assert.equal(refused, 403, 'a change without the proof of the page');
});

await step('be told of the risk of PINs, and take the safer way', async () => {
  await page.locator('#risk-notice').getByText('can be read by whoever takes over your number').waitFor(); // the step that adds a mobile says so, too
  await button('Set up the safer way').click();
  await heading('Add a passkey');
  await button('Cancel').filter({ visible: true }).click();
  await heading('Account security');
});

await step('add a passkey and keep the recovery codes', async () => {
  await button('Add a passkey').click();
  await field('A name to recognise it by').fill('Laptop of the test');
  await button('Make the passkey').click();
  await heading('Recovery codes');
  kept = await page.locator('#code-list li').allInnerTexts();
  assert.equal(kept.length, 10);
  await button('I have kept them').click();
  await page.getByText('Laptop of the test').waitFor();
  assert.ok(await page.locator('#risk').isHidden(), 'there is a safer way now');
  const { credentials } = await devtools.send('WebAuthn.getCredentials', { authenticatorId });
  assert.equal(credentials.length, 1);
  assert.equal(credentials[0].rpId, 'localhost');
});

await step('sign in by the passkey alone', async () => {
  await signOut();
  await button('Sign in with a passkey').click();
  await heading('Account security');
  const { session } = await call('/v1/session');
  assert.equal(session.strength, 'STRENGTH_STRONG');
  assert.ok(session.methods.includes('user') && !session.methods.includes('pwd'), session.methods.join());
});

await step('not without being verified', async () => {
  await signOut();
  await devtools.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false });
  await button('Sign in with a passkey').click();
  await page.getByRole('alert').filter({ hasText: /\w/ }).waitFor();
  await devtools.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: true });
  await button('Sign in with a passkey').click();
  await heading('Account security');
});

await step('set up an authenticator program', async () => {
  await button('Set up an authenticator program').click();
  await heading('Set up an authenticator program');
  secret = await page.locator('#secret').innerText();
  const link = await page.getByRole('link', { name: 'Open in a program' }).getAttribute('href');
  assert.equal(await read(page.locator('#qr')), link);
  assert.ok(link.includes(secret.replaceAll(' ', '')));
  await field('Code the program shows').fill(await totp(secret, 1));
  await button('Finish').click();
  await heading('Account security');
  await page.locator('#factors').getByText('Authenticator program').waitFor();
});

await step('sign in with password and code', async () => {
  await signOut();
  await passwordFirst();
  await heading('Confirm that it is you');
  await button('Use your passkey').waitFor();
  await field('Code of your authenticator program').fill(await totp(secret, 0));
  await page.keyboard.press('Enter');
  await heading('Account security');
});

await step('sign in with password and passkey', async () => {
  await signOut();
  await passwordFirst();
  await button('Use your passkey').click();
  await heading('Account security');
});

await step('sign in with a recovery code, once', async () => {
  await signOut();
  for (const taken of [true, false]) {
    await passwordFirst();
    await heading('Confirm that it is you');
    await button('Use a recovery code').click();
    await field('Recovery code').fill(kept[0]);
    await page.keyboard.press('Enter');
    if (!taken) break;
    await heading('Account security');
    await page.getByText('You signed in with a recovery code').waitFor();
    const { session } = await call('/v1/session');
    assert.equal(session.strength, 'STRENGTH_WEAK');
    await signOut();
  }
  await page.getByRole('alert').filter({ hasText: 'does not fit' }).waitFor();
});

await step('confirm by the passkey before a factor is taken away', async () => {
  await passwordFirst();
  await button('Use a recovery code').click();
  await field('Recovery code').fill(kept[1]);
  await button('Continue').click();
  await heading('Account security');
  page.once('dialog', (dialog) => dialog.accept());
  await page.getByRole('button', { name: 'Remove Authenticator program' }).click();
  await heading('Confirm that it is you');
  await button('Use a passkey').click();
  await page.getByRole('status').filter({ hasText: 'Removed.' }).waitFor();
  await page.locator('#factors').getByText('Authenticator program').waitFor({ state: 'detached' }); // the list comes after the words
  assert.equal((await call('/v1/session')).session.strength, 'STRENGTH_STRONG');
  await signOut();
});

await step('end another session', async () => {
  await button('Sign in with a passkey').click();
  await heading('Account security');
  await context.clearCookies(); // a browser that was lost with its session
  await passwordFirst();
  await button('Use a recovery code').click();
  await field('Recovery code').fill(kept[2]);
  await page.keyboard.press('Enter');
  await heading('Account security');
  const ends = page.getByRole('button', { name: /^End the session/ });
  await ends.first().click();
  await heading('Confirm that it is you'); // with a recovery code nobody is freshly confirmed
  await field('Password').fill('not this one at all');
  await button('Continue').first().click();
  await page.getByRole('alert').filter({ hasText: 'does not fit' }).waitFor();
  await field('Password').fill(password);
  await button('Continue').first().click();
  await page.getByRole('status').filter({ hasText: 'The session has ended' }).waitFor();
  assert.equal(await ends.count(), 0);
});

await step('allow an Add-In', async () => {
  const answers = [];
  const server = createServer((request, response) => {
    answers.push(new URL(request.url, 'http://127.0.0.1'));
    response.end('You can close this window.');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const redirect = `http://127.0.0.1:${server.address().port}/done`;
  const verifier = randomBytes(32).toString('base64url');
  const authorize = (state) => `${SUITE}/oauth2/authorize?${new URLSearchParams({
    response_type: 'code', client_id: 'word', redirect_uri: redirect, state, scope: 'openid offline_access',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
  })}`;
  await signOut();
  await page.goto(authorize('first'));
  await heading('Sign in'); // and from there on to the consent
  await button('Sign in with a passkey').click();
  await heading('Allow Concord for Word?');
  await button('Do not allow').click();
  await page.waitForURL((url) => url.pathname === '/done');
  await page.goto(authorize('second'));
  await heading('Allow Concord for Word?');
  await button('Allow').click();
  await page.waitForURL((url) => url.pathname === '/done');
  server.close();
  const [denied, allowed] = answers.filter((a) => a.pathname === '/done').map((a) => a.searchParams);
  assert.deepEqual([denied.get('error'), denied.get('state'), denied.get('code')], ['access_denied', 'first', null]);
  assert.deepEqual([allowed.get('state'), allowed.get('iss')], ['second', SUITE]);
  const tokens = await fetch(`${SUITE}/oauth2/token`, { method: 'POST', body: new URLSearchParams({
    grant_type: 'authorization_code', code: allowed.get('code'), redirect_uri: redirect, client_id: 'word', code_verifier: verifier,
  }) });
  const got = await tokens.json();
  assert.equal(tokens.status, 200, JSON.stringify(got));
  const session = await fetch(`${SUITE}/v1/session`, { headers: { authorization: `Bearer ${got.access_token}` } });
  assert.equal((await session.json()).session.addIn, 'word');
});

await step('send nobody back to an address that is not a program\'s', async () => {
  for (const redirect of ['https://evil.example/done', 'javascript:alert(1)', 'http://127.0.0.1.evil.example/']) {
    await page.goto(`${SUITE}/oauth2/consent#${new URLSearchParams({ client_id: 'word', redirect_uri: redirect, code_challenge: 'x'.repeat(43) })}`);
    await page.reload();
    await heading('This did not come from a program we know');
  }
  await page.goto(`${SUITE}/account/security`);
  await signOut();
  await page.goto(`${SUITE}/sign-in#next=${encodeURIComponent('https://evil.example/')}`);
  await page.reload();
  await button('Sign in with a passkey').click();
  await heading('Account security');
  assert.equal(new URL(page.url()).origin, new URL(SUITE).origin);
});

await step('choose another password after forgetting it', async () => {
  await signOut();
  const before = await newest(EMAIL);
  await button('Forgotten your password?').click();
  await field('E-mail address').fill(EMAIL);
  await button('Send the link').click();
  await page.getByRole('status').filter({ hasText: 'If there is an account' }).waitFor();
  const mail = (await messages(EMAIL, before)).map((m) => m.text).find((text) => text.includes('/reset#'));
  await page.goto(mail.match(/http\S+\/reset#\S+/)[0]);
  await field('New password').fill(other);
  await button('Set the password').click();
  await heading('Sign in');
  await field('Password').fill(other);
  await button('Sign in').click();
  await heading('Confirm that it is you'); // a new password takes no second factor away
  await button('Use your passkey').click();
  await heading('Account security');
});

story = 'led'; // somebody else, in a browser of theirs

await step('be led to another factor when the firm takes none of those there are', async () => {
  await page.goto(COLLEAGUE_INVITATION);
  await field('Choose your password').fill(password);
  await button('Set the password').click();
  await heading('Sign in');
  const before = await newest(COLLEAGUE);
  await field('Password').fill(password);
  await button('Sign in').click();
  await heading('Confirm that it is you');
  const first = await pin(COLLEAGUE, before);
  await field('PIN from the e-mail').fill(first === '000000' ? '111111' : '000000');
  await button('Continue').click();
  await page.getByRole('alert').filter({ hasText: 'does not fit' }).waitFor();
  await field('PIN from the e-mail').fill(`${first.slice(0, 3)} ${first.slice(3)}`);
  await button('Continue').click();
  await heading('Account security');
  await page.getByText('Your firm asks for another way').waitFor();
  await button('Add a passkey').click();
  await heading('This needs a recovery code or an approval'); // a mailbox alone gives nobody another factor
  await button('Ask an administrator').click();
  await page.getByRole('status').filter({ hasText: 'were asked' }).waitFor();
  const allowed = await fetch(`${SUITE}/v1/${COLLEAGUE_NAME}:approveEnrolment`, { method: 'POST', body: '{}', headers: { authorization: `Bearer ${ADMINISTRATOR}` } });
  assert.equal(allowed.status, 200, await allowed.text());
  await button('Add a passkey').click();
  await button('Make the passkey').click();
  await heading('Recovery codes');
  await button('I have kept them').click();
  await heading('Sign in'); // that session was for this alone
  await button('Sign in with a passkey').click();
  await heading('Account security');
  assert.ok(await page.locator('#must').isHidden());
  assert.equal((await call('/v1/session')).session.mustEnrol, false);
});

await browser.close();
