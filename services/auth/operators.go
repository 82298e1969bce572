package auth

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/acts"
	"github.com/concord-suite/concord/services/auth/internal/api/outbound"
	"github.com/concord-suite/concord/services/auth/internal/api/proofs"
	"github.com/concord-suite/concord/services/auth/internal/recovery"
	"github.com/concord-suite/concord/services/auth/internal/store"
	"github.com/concord-suite/concord/services/auth/internal/texts"
)

// OperatorRecovery says which operator gets a recovery code.
type OperatorRecovery struct {
	// Email is the operator's address; empty for the only one there is.
	Email string
}

// Register adds the flags to a command.
func (r *OperatorRecovery) Register(f *flag.FlagSet) {
	f.StringVar(&r.Email, "email", "", "the operator's e-mail address; needed when there are several")
}

// Check says what is wrong with the flags.
func (r OperatorRecovery) Check() error {
	if r.Email == "" {
		return nil
	}
	if _, err := account.NormalizeEmail(r.Email); err != nil {
		return fmt.Errorf("--email: %q is not an e-mail address", r.Email)
	}
	return nil
}

// Run makes a recovery code for an operator who has lost every factor and code, and says it to w, which is the console of
// whoever runs the machine. It stands beside the operator's password, works once and for a day, and voids the one made before.
// The ledger of the installation has it, and the operator is told by e-mail. It works beside running replicas: of deps it
// needs the database, the vault and the clock.
func (r OperatorRecovery) Run(ctx context.Context, cfg Config, deps Deps, w io.Writer) error {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	book, err := texts.Load(cfg.PublicURL.String(), cfg.Templates)
	if err != nil {
		return err
	}
	post := outbound.Post{Texts: book, Vault: deps.Vault, Now: deps.Now}
	var operator account.Account
	var code string
	err = deps.DB.Tx(ctx, func(tx *sqldb.Tx) (err error) {
		if operator, err = r.operator(tx); err != nil {
			return err
		}
		now := deps.Now()
		if code, err = (proofs.Book{Vault: deps.Vault}).IssueRecovery(tx, operator, now); err != nil {
			return err
		}
		if err := acts.OperatorRecovered(tx, operator, now); err != nil {
			return err
		}
		return post.AccountChanged(tx, operator, account.Firm{}, "A recovery code for your account was made on the machine that runs Concord.", "")
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "recovery code  %s  (for %s, beside the password: once, until %s)\n", code, operator.Email,
		deps.Now().Add(recovery.IssuedLife).UTC().Format(time.RFC3339))
	return err
}

// operator finds the one that is meant.
func (r OperatorRecovery) operator(tx *sqldb.Tx) (account.Account, error) {
	all, err := store.Operators(tx)
	if err != nil {
		return account.Account{}, err
	}
	email, _ := account.NormalizeEmail(r.Email) // Check has looked at it
	for _, a := range all {
		if a.Email == email || (r.Email == "" && len(all) == 1) {
			return a, nil
		}
	}
	switch {
	case len(all) == 0:
		return account.Account{}, errors.New("there is no operator yet: claim the installation with the setup code, which is printed at every start")
	case r.Email != "":
		return account.Account{}, fmt.Errorf("no operator has the address %s", r.Email)
	}
	return account.Account{}, fmt.Errorf("there are %d operators; say which one: --email ADDRESS", len(all))
}
