// Serves an OpenAPI document with Prism, which answers from its examples and refuses requests the document does not
// allow. usage: node prism.mjs DOCUMENT. Prints "READY <address>", then what Prism says of every request.
const [document] = process.argv.slice(2);
if (!document) throw new Error('usage: node prism.mjs DOCUMENT');

const write = process.stdout.write.bind(process.stdout);
process.stdout.write = (text, ...rest) => {
  const at = /Prism is listening on (http\S+)/.exec(String(text));
  return write(at ? `READY ${at[1]}\n` : text, ...rest);
};
// --errors makes a mistake in a request an answer of its own; port 0 takes a free one.
process.argv = [process.argv[0], 'prism', 'mock', '--errors', '--host', '127.0.0.1', '--port', '0', document];
await import('@stoplight/prism-cli/dist/index.js');
