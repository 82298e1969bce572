// An Add-In as a developer would write it with oauth4webapi, which is stricter about every answer than the specifications
// ask a client to be. Prints what it got. Environment: BASE (the suite), FIRM and SESSION (of the person).
import { webcrypto } from 'node:crypto';

import * as oauth from 'oauth4webapi';

import { allow, listen, refused, works } from './addin-person.mjs';

globalThis.crypto ??= webcrypto; // Node.js 18 has it elsewhere
const { BASE } = process.env;
const plain = { [oauth.allowInsecureRequests]: true }; // the suite of the test has no certificate
const base = new URL(BASE);
const as = await oauth.processDiscoveryResponse(base, await oauth.discoveryRequest(base, { algorithm: 'oauth2', ...plain }));
const client = { client_id: 'word', id_token_signed_response_alg: 'ES256' };

const at = await listen();
const verifier = oauth.generateRandomCodeVerifier();
const state = oauth.generateRandomState();
const nonce = oauth.generateRandomNonce();
const authorize = new URL(as.authorization_endpoint);
authorize.search = new URLSearchParams({
  client_id: client.client_id, redirect_uri: at.redirect, response_type: 'code', scope: 'openid offline_access', state, nonce,
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
});
const answered = at.answered();
await allow(authorize);
const params = oauth.validateAuthResponse(as, client, await answered, state);
const response = await oauth.authorizationCodeGrantRequest(as, client, oauth.None(), params, at.redirect, verifier, plain);
const first = await oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: nonce, requireIdToken: true });
await oauth.validateApplicationLevelSignature(as, response, plain); // by the published keys

const refresh = async (token) => {
  const response = await oauth.refreshTokenGrantRequest(as, client, oauth.None(), token, plain);
  const tokens = await oauth.processRefreshTokenResponse(as, client, response);
  await oauth.validateApplicationLevelSignature(as, response, plain);
  return tokens;
};
const second = await refresh(first.refresh_token);
const third = await refresh(second.refresh_token);
const usable = await works(BASE, third.access_token);
const reused = await refused(() => refresh(first.refresh_token));
const afterReuse = await works(BASE, third.access_token);
const family = await refused(() => refresh(third.refresh_token));
await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, oauth.None(), third.refresh_token, plain));
const unknownClient = await refused(async () => oauth.processRefreshTokenResponse(as, { client_id: 'unknown' }, await oauth.refreshTokenGrantRequest(as, { client_id: 'unknown' }, oauth.None(), 'car_x', plain)));

process.stdout.write(JSON.stringify({
  issuer: as.issuer, scope: first.scope, subject: oauth.getValidatedIdTokenClaims(first).sub, life: first.expires_in,
  rotated: new Set([first, second, third].map((t) => t.refresh_token)).size, usable, reused, afterReuse, family, unknownClient,
}));
