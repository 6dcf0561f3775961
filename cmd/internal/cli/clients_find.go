package cli

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"clientele/domain"
	"clientele/store"
)

type clientsFindCmd struct {
	// CLIENTELE_NAME is the name of a key: it must not narrow a search.
	Email string `env:"CLIENTELE_CLIENT_EMAIL" placeholder:"ADDRESS" help:"The whole e-mail address. Case is ignored."`
	Name  string `env:"CLIENTELE_CLIENT_NAME" placeholder:"WORDS" help:"Words, in any order, that each match the start of a word in the first, middle or last name. Case, accents and punctuation are ignored."`
	Limit int    `default:"20" placeholder:"N" help:"Maximum clients to print (${default})."`
	Body  bool   `help:"Print names, e-mail addresses, postcodes and dates of birth as well, which are personal data."`
	JSON  bool   `name:"json" help:"Print one JSON object per line instead of a table, with the whole record if --body is set."`

	systemFlags `embed:""`
}

// Help is printed by --help.
func (*clientsFindCmd) Help() string {
	return `Examples:

  clientele clients find --email jane.smith@example.com
  clientele clients find --name 'Jane Smith' --body
  clientele clients find --name 'smi j' --database-url postgres://…

A client must match both --email and --name if you pass both. Fewer or shorter words find more clients. The command reads all
clients. Each client that it prints is recorded in the audit trail, without the query. The exit status is 1 if no client matches.`
}

// Validate is called by the parser.
func (c *clientsFindCmd) Validate() error {
	switch {
	case strings.TrimSpace(c.Email) == "" && strings.TrimSpace(c.Name) == "":
		return errors.New("pass --email or --name")
	case c.Limit < 1:
		return errors.New("--limit must be at least 1")
	}
	return c.databaseFlags.Validate()
}

// Run prints the clients that match. Neither the output nor an error repeats the query, which is personal data.
func (c *clientsFindCmd) Run(e env) error {
	db, trail, closeAll, err := c.openToRead(e)
	if err != nil {
		return err
	}
	defer closeAll()
	clients, total, err := db.Find(e.ctx, store.Query{Email: c.Email, Name: c.Name}, c.Limit)
	if err != nil {
		return err
	}
	if err := trail.Record(e.ctx, findRecords(clients)...); err != nil {
		return err
	}
	if total == 0 {
		return errors.New("no client matches")
	}
	if err := c.print(e, clients); err != nil {
		return err
	}
	found := countOf(total, "client")
	if total > c.Limit {
		found += fmt.Sprintf(" match, the first %d are printed: raise --limit or add words", c.Limit)
	}
	_, err = fmt.Fprintln(e.stderr, found)
	return err
}

// findRecords returns an audit record for each client that was found, or one for none.
func findRecords(clients []domain.Client) []domain.AuditRecord {
	found := domain.AuditRecord{Action: domain.AuditClientFind, Result: domain.AuditSucceeded}
	if len(clients) == 0 {
		return []domain.AuditRecord{found}
	}
	records := make([]domain.AuditRecord, len(clients))
	for i, client := range clients {
		records[i] = found
		records[i].ClientID = client.ID
	}
	return records
}

func (c *clientsFindCmd) print(e env, clients []domain.Client) error {
	if c.JSON {
		for _, client := range clients {
			if err := printJSON(e, newClientFacts(client, c.Body)); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	header := "ID\tSTATUS\tACCEPTED AT\tCREATED AT"
	if c.Body {
		header += "\tNAME\tE-MAIL\tPOSTCODE\tBORN"
	}
	fmt.Fprintln(table, header)
	for _, client := range clients {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s", client.ID, display(string(client.Status)),
			client.AcceptedAt.Format(time.RFC3339), client.CreatedAt.Format(time.RFC3339))
		if c.Body {
			fmt.Fprint(table, "\t"+strings.Join(personalColumns(client), "\t"))
		}
		fmt.Fprintln(table)
	}
	return table.Flush()
}

// personalColumns returns the fields that distinguish clients of the same name.
func personalColumns(c domain.Client) []string {
	name := c.FirstName + " "
	if c.MiddleName != nil {
		name += *c.MiddleName + " "
	}
	postcode, born := "-", "-"
	if c.Address != nil {
		postcode = c.Address.Postcode
	}
	if c.DOB != nil {
		born = *c.DOB
	}
	return []string{display(name + c.LastName), display(c.EmailAddress), display(postcode), born}
}
