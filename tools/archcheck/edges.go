package main

// edges are the internal packages of services that talk to the outside world, with what they talk to. They may know
// platform and the contract, as api, inbound and store may; domain packages may not.
var edges = map[string]string{
	"services/connector/internal/provider": "the providers, by one interface",
}
