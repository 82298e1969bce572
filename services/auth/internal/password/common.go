package password

import "strings"

// commonStems holds what is tried first by whoever guesses, without the digits and signs around it: Check compares the
// stem, so "Password2024!" is found under "password". Words shorter than the least length count because of what people
// add to them.
var commonStems = stems(`
	password passwort passwords passw pass passphrase passcode mypassword newpassword thepassword yourpassword secret
	topsecret secrets private confidential default changeme change changeit temporary temp tempo initial
	first welcome welcomeback hello helloworld goodbye hallo bonjour hola letmein letmeinnow opensesame sesame openup
	enter access accessdenied login logon signin signon admin administrator root toor superuser sysadmin system user
	username guest test tester testing testtest demo example sample trial public nobody anonymous manager office
	qwerty qwertyuiop qwertz asdf asdfgh asdfghjkl zxcvbn zxcvbnm qazwsx qazwsxedc qweasd qweasdzxc azerty
	abc abcd abcdef abcabc xyz aaa
	iloveyou iloveu iloveme loveyou loveme lovely love lover lovers mylove truelove forever always together babe baby
	babygirl babyboy princess prince queen king angel angels heaven sunshine sunflower rainbow butterfly flower flowers
	rose lily daisy jasmine honey sugar candy cookie chocolate cheese pepper ginger banana orange apple cherry
	coffee pizza beer whiskey
	monkey dragon tiger lion eagle falcon panther wolf shark dolphin horse pony kitty kitten puppy doggy
	bird turtle snake spider phoenix unicorn
	football soccer baseball basketball hockey rugby cricket tennis golf swimming running cycling racing fishing
	hunting surfing liverpool arsenal chelsea manchester barcelona juventus madrid yankees lakers cowboys
	superman batman spiderman ironman starwars startrek skywalker gandalf frodo hobbit matrix pokemon pikachu mario
	zelda minecraft fortnite playstation nintendo xbox naruto
	summer winter spring autumn january february march april june july august september october
	november december monday tuesday wednesday thursday friday saturday sunday christmas birthday holiday
	happy happiness smile smiley lucky magic wizard shadow ghost master mistress killer hunter ranger warrior
	ninja samurai pirate soldier captain major general maverick trustno trustnoone nothing whatever something anything
	blessed jesus christ jesuschrist godisgood faith hope grace peace
	freedom liberty america american england london paris berlin australia australian sydney melbourne
	brisbane perth adelaide canberra newzealand auckland wellington aussie kangaroo kiwi
	michael jennifer jessica michelle nicole daniel andrew joshua thomas robert william matthew anthony charlie jordan
	ashley amanda samantha stephanie elizabeth victoria george harley hannah maggie buster
	computer laptop internet windows microsoft google facebook instagram twitter youtube amazon netflix android
	iphone samsung server network wireless router keyboard monitor printer database oracle mysql postgres ubuntu
	account accounts accounting accountant accountants bookkeeper bookkeeping bookkeepers tax taxes taxation taxreturn
	taxagent audit auditor auditors ledger payroll invoice invoices finance financial money dollar dollars cash bank
	banking business company enterprise practice partner partners partnership trustee xero myob quickbooks
	workflowmax superannuation superfund client clients
	mustang ferrari porsche mercedes corvette camaro toyota honda yamaha suzuki ducati holden commodore ford falcon
	diamond gold golden silver platinum crystal pearl ruby emerald purple yellow green blue black white pink
	thunder lightning storm hurricane cyclone ocean river mountain forest moon moonlight stars starlight
	correcthorsebatterystaple
`)

func stems(list string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(list) {
		set[w] = true
	}
	return set
}
