package systemtest

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"clientele/cmd/internal/testcluster"
	"clientele/store/storetest"

	"github.com/jackc/pgx/v5"
)

// TestComposeGivesEachRoleItsPassword runs what docker-compose.yml runs before and after migrate, with a PostgreSQL that checks passwords.
func TestComposeGivesEachRoleItsPassword(t *testing.T) {
	t.Parallel()
	read := func(path string) []byte {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	ca := testcluster.NewAuthority(t)
	ca.Issue("server")
	postgres := storetest.StartPostgres(t)
	postgres.UseTLS(t, read(ca.File("server.crt")), read(ca.File("server.key")))

	list := regexp.MustCompile(`command: \[(psql, .*)\]`).FindSubmatch(read("../../../docker-compose.yml"))
	if list == nil {
		t.Fatal("docker-compose.yml does not run psql")
	}
	command := strings.Split(strings.ReplaceAll(string(list[1]), "/etc/clientele", "../../../deploy/postgres"), ", ")
	for range 2 {
		psql := exec.Command(command[0], append(command[1:], "--dbname="+postgres.URL())...)
		psql.Env = os.Environ()
		for _, role := range []string{"OWNER", "WORKER", "INGRESS", "OPERATOR"} {
			psql.Env = append(psql.Env, "POSTGRES_"+role+"_PASSWORD=of-"+role)
		}
		if out, err := psql.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	connect := func(role, password string) error {
		url := strings.Replace(postgres.URL(), "clientele@", "clientele_"+role+":"+password+"@", 1)
		conn, err := pgx.Connect(t.Context(), strings.Replace(url, "sslmode=disable", "sslmode=require", 1))
		if err != nil {
			return err
		}
		return conn.Close(t.Context())
	}
	for _, role := range []string{"owner", "worker", "ingress", "operator"} {
		if err := connect(role, "of-"+strings.ToUpper(role)); err != nil {
			t.Errorf("%s: %v", role, err)
		}
		if err := connect(role, "of-another"); err == nil {
			t.Errorf("%s: another password is accepted", role)
		}
	}
}
