// An Add-In as a developer would write it with openid-client, a certified OpenID Connect client: discovery, code with PKCE
// over a loopback address, the ID token checked by the published keys, refresh, reuse, revocation. Prints what it got.
// Environment: BASE (the suite), FIRM and SESSION (of the person).
import { Issuer, generators } from 'openid-client';

import { allow, listen, refused, works } from './addin-person.mjs';

const { BASE } = process.env;
const issuer = await Issuer.discover(`${BASE}/.well-known/oauth-authorization-server`);
const openid = await Issuer.discover(BASE); // by /.well-known/openid-configuration
const client = new issuer.Client({ client_id: 'word', token_endpoint_auth_method: 'none', response_types: ['code'], id_token_signed_response_alg: 'ES256' });

// signIn goes through the whole flow and returns the tokens; callback checks state, iss, and the ID token with its nonce.
async function signIn(host) {
  const at = await listen(host);
  const code_verifier = generators.codeVerifier();
  const state = generators.state();
  const nonce = generators.nonce();
  const answered = at.answered();
  await allow(client.authorizationUrl({ redirect_uri: at.redirect, scope: 'openid offline_access', state, nonce, code_challenge: generators.codeChallenge(code_verifier), code_challenge_method: 'S256' }));
  const params = client.callbackParams((await answered).toString());
  const checks = { state, nonce, code_verifier, response_type: 'code' };
  return { tokens: await client.callback(at.redirect, params, checks), again: () => client.callback(at.redirect, params, checks) };
}

const { tokens: first } = await signIn('127.0.0.1');
const second = await client.refresh(first.refresh_token);
const repeated = await client.refresh(first.refresh_token); // as if the answer had been lost
const usable = await works(BASE, second.access_token); // from now on it is known to have arrived
const late = await refused(() => client.refresh(first.refresh_token));
const survives = await works(BASE, second.access_token);
await client.revoke(second.refresh_token, 'refresh_token');
const revoked = await refused(() => client.refresh(second.refresh_token));
const afterRevocation = await works(BASE, second.access_token);

const { tokens: stolen, again } = await signIn('::1');
const codeTwice = await refused(again);
const afterCodeTwice = await works(BASE, stolen.access_token);

process.stdout.write(JSON.stringify({
  issuer: issuer.issuer, sameIssuer: issuer.issuer === openid.issuer, device: issuer.device_authorization_endpoint ?? '',
  scope: first.scope, life: first.expires_in, subject: first.claims().sub, audience: first.claims().aud,
  rotates: first.refresh_token !== second.refresh_token, repeats: repeated.refresh_token === second.refresh_token && repeated.access_token === second.access_token,
  usable, late, survives, revoked, afterRevocation, codeTwice, afterCodeTwice,
}));
