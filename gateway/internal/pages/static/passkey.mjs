// Passkeys: the options of the API to the browser, and the browser's answer back as text.

export const supported = () => typeof PublicKeyCredential === 'function' && !!navigator.credentials;

const bytes = (text) => Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');

// Browsers before 2024 can't read and write the JSON form by themselves.
function creation(options) {
  if (PublicKeyCredential.parseCreationOptionsFromJSON) return PublicKeyCredential.parseCreationOptionsFromJSON(options);
  const known = (options.excludeCredentials ?? []).map((c) => ({ ...c, id: bytes(c.id) }));
  return { ...options, challenge: bytes(options.challenge), user: { ...options.user, id: bytes(options.user.id) }, excludeCredentials: known };
}

function request(options) {
  if (PublicKeyCredential.parseRequestOptionsFromJSON) return PublicKeyCredential.parseRequestOptionsFromJSON(options);
  const known = (options.allowCredentials ?? []).map((c) => ({ ...c, id: bytes(c.id) }));
  return { ...options, challenge: bytes(options.challenge), allowCredentials: known };
}

function written(credential) {
  if (credential.toJSON) return JSON.stringify(credential.toJSON());
  const r = credential.response;
  const response = { clientDataJSON: text(r.clientDataJSON) };
  if (r.attestationObject) Object.assign(response, { attestationObject: text(r.attestationObject), transports: r.getTransports?.() ?? [] });
  else Object.assign(response, { authenticatorData: text(r.authenticatorData), signature: text(r.signature), ...(r.userHandle && { userHandle: text(r.userHandle) }) });
  return JSON.stringify({ id: credential.id, rawId: text(credential.rawId), type: credential.type, clientExtensionResults: {}, response });
}

// words says what a browser's refusal means for the person. Passkeys belong to a name: who came by another one, or by a
// network address, is told which.
function words(error, options) {
  switch (error.name) {
    case 'InvalidStateError': return 'This device holds a passkey for your account already.';
    case 'NotAllowedError': return 'No passkey was shown: it was cancelled, or took too long.';
    case 'SecurityError': return `Passkeys do not work at this address. Open this page at ${options.rp?.id ?? options.rpId}.`;
    default: return 'Your browser could not use a passkey here.';
  }
}

async function ask(json, run) {
  const options = JSON.parse(json);
  try {
    return written(await run(options));
  } catch (error) {
    throw new Error(words(error, options));
  }
}

// create makes a passkey, get shows one; both answer the text for the API.
export const create = (json) => ask(json, (options) => navigator.credentials.create({ publicKey: creation(options) }));
export const get = (json) => ask(json, (options) => navigator.credentials.get({ publicKey: request(options) }));
