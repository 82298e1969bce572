package documents

// Heard is what contacts' scope is waited for with.
var Heard = heard
