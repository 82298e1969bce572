// Takes out of package-lock.json what no installation needs and what ties it to a place: the addresses packages came
// from and the pages that ask for money. `npm run lock` runs it; a difference in the file is then a different package.
import { readFileSync, writeFileSync } from 'node:fs';

const file = new URL('package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(file, 'utf8'));
for (const entry of Object.values(lock.packages)) {
  delete entry.resolved;
  delete entry.funding;
  delete entry.deprecated;
}
writeFileSync(file, JSON.stringify(lock, null, 2) + '\n');
