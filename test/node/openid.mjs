// Does the token part against the simulated identity service with openid-client, a certified client, and prints what it
// got. Environment: BASE (root of the simulated provider), CLIENT_ID, CLIENT_SECRET (empty for a public client), PERSON,
// TENANT, SCOPE.
import { Issuer, generators } from 'openid-client';

import { consent } from './consent.mjs';

const { BASE, CLIENT_ID, CLIENT_SECRET, PERSON, TENANT, SCOPE } = process.env;
const callback = 'http://127.0.0.1:7777/callback';

// The document is read here and not by Issuer.discover, since the provider's name is not the simulator's address.
const metadata = await (await fetch(`${BASE}/.well-known/openid-configuration`)).json();
const issuer = new Issuer(metadata);
const client = new issuer.Client({
  client_id: CLIENT_ID,
  client_secret: CLIENT_SECRET || undefined,
  token_endpoint_auth_method: CLIENT_SECRET ? 'client_secret_basic' : 'none',
  redirect_uris: [callback],
  response_types: ['code'],
});

const verifier = generators.codeVerifier();
const state = generators.state();
const nonce = generators.nonce();
const authorize = client.authorizationUrl({ scope: SCOPE, state, nonce, code_challenge: generators.codeChallenge(verifier), code_challenge_method: 'S256' });
const redirected = await consent(authorize, PERSON, TENANT);
const checks = { state, nonce, code_verifier: verifier };
// callback checks the id_token as well: signature, issuer, audience, nonce and at_hash.
const first = await client.callback(callback, client.callbackParams(redirected), checks);
const person = await client.userinfo(first);

// refused runs what must be refused and returns the error it names.
const refused = async (call) => {
  try {
    await call();
  } catch (error) {
    return error.error ?? String(error);
  }
  throw new Error('what must be refused was taken');
};

const second = await client.refresh(first.refresh_token);
const replayed = await client.refresh(first.refresh_token);
const third = await client.refresh(second.refresh_token);
const connections = await (await fetch(`${BASE}/connections`, { headers: { authorization: `Bearer ${third.access_token}` } })).json();
const codeTwice = await refused(() => client.callback(callback, client.callbackParams(redirected), checks));
await client.revoke(third.refresh_token);

process.stdout.write(JSON.stringify({
  scope: first.scope,
  email: person.email,
  subject: first.claims().sub,
  life: first.expires_in,
  rotated: new Set([first, second, replayed, third].map((t) => t.refresh_token)).size,
  connections: connections.map((c) => c.tenantName),
  codeTwice,
  revoked: await refused(() => client.refresh(third.refresh_token)),
}));
