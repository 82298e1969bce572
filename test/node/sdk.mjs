// Works on the contacts of an organisation with xero-node, the provider's own library, and prints what it got.
// Environment: API (root of the simulated provider), TOKEN, TENANT.
import xero from 'xero-node';

const { API, TOKEN, TENANT } = process.env;
const client = new xero.XeroClient();
client.accountingApi.basePath = `${API}/api.xro/2.0`;
client.setTokenSet({ access_token: TOKEN, token_type: 'Bearer' });
const api = client.accountingApi;
const done = {};

const page = async (includeArchived) =>
  (await api.getContacts(TENANT, undefined, undefined, 'Name ASC', undefined, 1, includeArchived, undefined, undefined, 1000)).body;
// refusal runs what must be refused and returns the body of the refusal.
const refusal = async (call) => {
  try {
    await call();
  } catch (error) {
    return (typeof error === 'string' ? JSON.parse(error) : error).response.body;
  }
  throw new Error('what must be refused was taken');
};

const before = await page(false);
done.listed = before.contacts.length;
done.pagination = before.pagination;
done.date = before.contacts[0].updatedDateUTC instanceof Date;

const kea = { name: 'Kea by SDK', accountNumber: 'SDK-1', emailAddress: 'kea@example.com',
  contactPersons: [{ firstName: 'Ablo', lastName: 'Kea', emailAddress: 'ablo@example.com', includeInEmails: true }],
  phones: [{ phoneNumber: '0491570006', phoneType: xero.Phone.PhoneTypeEnum.MOBILE }],
  addresses: [{ addressType: xero.Address.AddressTypeEnum.STREET, city: 'Sampleton' }] };
const made = (await api.createContacts(TENANT, { contacts: [kea] }, true, 'sdk-key')).body.contacts[0];
const again = (await api.createContacts(TENANT, { contacts: [kea] }, true, 'sdk-key')).body.contacts[0];
done.created = made.contactID;
done.repeated = again.contactID;

const refused = await refusal(() => api.createContacts(TENANT, { contacts: [{ name: 'KEA BY SDK' }] }));
done.refused = refused.Elements[0].ValidationErrors[0].Message;
const mixed = (await api.updateOrCreateContacts(TENANT, { contacts: [{ name: 'kea by sdk' }, { name: 'Weka by SDK' }] }, false)).body.contacts;
done.mixed = mixed.map((c) => c.hasValidationErrors);

await api.updateContact(TENANT, made.contactID, { contacts: [{ contactID: made.contactID, emailAddress: 'new@example.com' }] });
const read = (await api.getContact(TENANT, made.contactID)).body.contacts[0];
done.read = { email: read.emailAddress, account: read.accountNumber, people: read.contactPersons.length, status: read.contactStatus };

const group = (await api.createContactGroup(TENANT, { contactGroups: [{ name: 'By SDK' }] })).body.contactGroups[0];
await api.createContactGroupContacts(TENANT, group.contactGroupID, { contacts: [{ contactID: made.contactID }] });
done.members = (await api.getContactGroup(TENANT, group.contactGroupID)).body.contactGroups[0].contacts.map((c) => c.name);
await api.deleteContactGroupContact(TENANT, group.contactGroupID, made.contactID);
await api.updateContactGroup(TENANT, group.contactGroupID, { contactGroups: [{ status: xero.ContactGroup.StatusEnum.DELETED }] });
done.groups = (await api.getContactGroups(TENANT)).body.contactGroups.map((g) => g.name);

await api.updateContact(TENANT, made.contactID, { contacts: [{ contactID: made.contactID, contactStatus: xero.Contact.ContactStatusEnum.ARCHIVED }] });
const ids = (list) => list.contacts.map((c) => c.contactID);
done.listedAfter = ids(await page(false)).includes(made.contactID);
done.archivedListed = ids(await page(true)).includes(made.contactID);

const since = new Date(Date.now() - 60000);
done.since = (await api.getContacts(TENANT, since, 'IsCustomer==false', undefined, undefined, 1, true)).body.contacts.map((c) => c.name).sort();
done.organisation = (await api.getOrganisations(TENANT)).body.organisations[0].name;

process.stdout.write(JSON.stringify(done));
