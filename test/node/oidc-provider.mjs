// Serves oidc-provider, a certified OpenID Connect server, until it is ended: authorization code with PKCE, refresh tokens
// that rotate at every use and whose second use ends the consent, revocation. The person signs in and allows by herself.
// Environment: CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, SCOPE (what may be asked for, with a space between), NAME, EMAIL.
import { once } from 'node:events';
import { createServer } from 'node:http';

import { Provider } from 'oidc-provider';

const { CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, SCOPE, NAME, EMAIL } = process.env;

const server = createServer().listen(0, '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [{
    client_id: CLIENT_ID,
    client_secret: CLIENT_SECRET,
    redirect_uris: [REDIRECT_URI],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'client_secret_basic',
  }],
  // The paths that our client knows.
  routes: { authorization: '/connect/authorize', token: '/connect/token', revocation: '/connect/revocation' },
  scopes: SCOPE.split(' '),
  claims: { openid: ['sub'], profile: ['name'], email: ['email'] },
  conformIdTokenClaims: false, // the name stands in the id token, as our provider puts it there
  findAccount: (ctx, sub) => ({ accountId: sub, claims: () => ({ sub, name: NAME, email: EMAIL }) }),
  pkce: { required: () => true, methods: ['S256'] },
  features: { devInteractions: { enabled: false }, revocation: { enabled: true } },
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  rotateRefreshToken: true,
  issueRefreshToken: () => true, // also without prompt=consent, which our provider does not ask for
  ttl: { AccessToken: 1800, AuthorizationCode: 60, Grant: 86400, IdToken: 300, Interaction: 300, RefreshToken: 86400, Session: 300 },
  cookies: { keys: ['of this process alone'] },
});

// interaction signs in, then allows what was asked for.
const interaction = async (ctx) => {
  const { prompt, params, session } = await provider.interactionDetails(ctx.req, ctx.res);
  let result = { login: { accountId: 'ada' } };
  if (prompt.name === 'consent') {
    const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope(params.scope);
    result = { consent: { grantId: await grant.save() } };
  }
  await provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: true });
  ctx.respond = false;
};
provider.use((ctx, next) => (ctx.path.startsWith('/interaction/') ? interaction(ctx) : next()));

server.on('request', provider.callback());
console.log(`READY ${issuer}`);
