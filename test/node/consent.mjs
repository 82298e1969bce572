// Goes through the simulated provider's consent pages as a browser would.

const unescape = (text) => text.replaceAll('&#43;', '+').replaceAll('&#34;', '"').replaceAll('&#39;', "'").replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');

// hidden returns the hidden fields of the form of a page that goes to action.
const hidden = (page, action) => {
  const form = [...page.matchAll(/<form[^>]*action="([^"]*)".*?<\/form>/gs)].find((m) => m[1] === action);
  if (!form) throw new Error(`the page has no form for ${action}`);
  return Object.fromEntries([...form[0].matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)">/g)].map((m) => [m[1], unescape(m[2])]));
};

// consent signs in as person, allows the tenant of that name and returns where the browser is sent.
export async function consent(authorize, person, tenantName) {
  const at = (path) => new URL(path, authorize);
  const post = (path, fields, cookie) => fetch(at(path), { method: 'POST', redirect: 'manual', body: new URLSearchParams(fields), headers: cookie ? { cookie } : {} });
  const login = await (await fetch(authorize)).text();
  const signedIn = await post('/identity/login', { ...hidden(login, '/identity/login'), person });
  const cookie = signedIn.headers.get('set-cookie').split(';')[0];
  const page = await (await fetch(authorize, { headers: { cookie } })).text();
  const offers = [...page.matchAll(/<input type="radio" name="tenant" value="([^"]*)"> ([^\n<]*)/g)];
  const tenant = offers.find((m) => unescape(m[2]).trim() === tenantName)?.[1];
  if (!tenant) throw new Error(`${tenantName} is not offered: ${page}`);
  const allowed = await post('/identity/consent', { ...hidden(page, '/identity/consent'), action: 'allow', tenant }, cookie);
  return allowed.headers.get('location');
}
