// What happens between an Add-In that opens the browser and its loopback address: the browser follows the authorization
// request to the consent page, and the person, signed in by PERSON's session token, allows it. What the page does is tried
// in Chromium elsewhere; here it is done by hand, so that the library under test sees nothing but OAuth.
import { once } from 'node:events';
import { createServer } from 'node:http';

const { FIRM, SESSION } = process.env;

// listen opens a loopback address at a free port, as an Add-In does before it opens the browser.
export async function listen(host = '127.0.0.1') {
  const server = createServer();
  server.listen(0, host);
  await once(server, 'listening');
  const redirect = `http://${host.includes(':') ? `[${host}]` : host}:${server.address().port}/done`;
  return {
    redirect,
    // answered waits for the browser and returns the address it came to.
    async answered() {
      const [request, response] = await once(server, 'request');
      response.end('You can close this page.');
      server.close();
      return new URL(request.url, redirect);
    },
  };
}

// allow is the browser with the person in front of it; it ends at the Add-In's address.
export async function allow(authorize) {
  const sent = await fetch(authorize, { redirect: 'manual' });
  if (sent.status !== 302) throw new Error(`${sent.status}: ${await sent.text()}`);
  const page = new URL(sent.headers.get('location'), authorize);
  if (page.pathname !== '/oauth2/consent') throw new Error(`sent to ${page}`);
  const asked = Object.fromEntries(new URLSearchParams(page.hash.slice(1)));
  const consent = await fetch(new URL(`/v1/${FIRM}/addIns:authorize`, authorize), {
    method: 'POST',
    headers: { authorization: `Bearer ${SESSION}`, 'content-type': 'application/json' },
    body: JSON.stringify({ addIn: asked.client_id, redirectUri: asked.redirect_uri, codeChallenge: asked.code_challenge, nonce: asked.nonce ?? '', scope: asked.scope ?? '' }),
  });
  const given = await consent.json();
  if (!consent.ok) throw new Error(JSON.stringify(given));
  await fetch(`${asked.redirect_uri}?${new URLSearchParams({ code: given.code, iss: given.issuer, ...(asked.state && { state: asked.state }) })}`);
}

// refused runs what must be refused and returns the error it names.
export async function refused(call) {
  try {
    await call();
  } catch (error) {
    return error.error ?? String(error);
  }
  throw new Error('what must be refused was taken');
}

// works says whether the suite takes an access token.
export async function works(base, token) {
  return (await fetch(new URL('/v1/session', base), { headers: { authorization: `Bearer ${token}` } })).ok;
}
