//go:build unix

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lockstep"
	"lockstep/client"
	"lockstep/e2e/harness"
)

const (
	envRole = "LOCKSTEP_E2E_ROLE"
	envPath = "LOCKSTEP_E2E_PATH"
	envTTL  = "LOCKSTEP_E2E_TTL"
	// envResource is the URL of a resource that the holder may be told to write to.
	envResource = "LOCKSTEP_E2E_RESOURCE"

	roleHolder = "holder"
	// gap is how long the holder must not have run to notice that it was stopped.
	gap = 500 * time.Millisecond
)

// holder starts a process that takes the lock and holds it. It prints
//
//	granted TOKEN                    once
//	believes UNIXNANO                each time its belief got longer
//	woke held=BOOL                   when it had been stopped
//	wrote held=BOOL answer=TEXT      after it was sent the line "write"
func holder(t *testing.T, c *harness.Cluster, path string, ttl time.Duration, resource string) *harness.Process {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	return harness.Start(t, harness.Command{
		Path: self,
		Env: []string{
			envRole + "=" + roleHolder, "LOCKSTEP_DATA=" + c.Data, envPath + "=" + path,
			envTTL + "=" + ttl.String(), envResource + "=" + resource,
		},
	})
}

func runHelper(role string) int {
	if role != roleHolder {
		fmt.Println("no such role:", role)
		return 1
	}
	if err := runHolder(); err != nil {
		fmt.Println("failed:", err)
		return 1
	}
	return 0
}

func runHolder() error {
	ctx := context.Background()
	ttl, err := time.ParseDuration(os.Getenv(envTTL))
	if err != nil {
		return err
	}
	c, err := lockstep.Open(ctx, nil)
	if err != nil {
		return err
	}
	session, err := c.NewSession(ctx, client.TTL(ttl), client.Label("holder"))
	if err != nil {
		return err
	}
	grant, err := session.Lock(os.Getenv(envPath)).Acquire(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("granted %v\n", grant.Token())
	commands := make(chan string)
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			commands <- lines.Text()
		}
	}()
	observe(grant, commands)
	return nil
}

// observe reports belief, for ever.
func observe(grant *lockstep.Grant, commands <-chan string) {
	tick := time.NewTicker(2 * time.Millisecond)
	var believed time.Time
	last := time.Now()
	for {
		// Held is asked before the clock: after a stop the first answer counts.
		held := grant.Held()
		now := time.Now()
		if now.Sub(last) > gap {
			fmt.Printf("woke held=%v\n", held)
		}
		last = now
		if until := grant.HeldUntil(); until.After(believed) {
			believed = until
			fmt.Printf("believes %d\n", now.Add(until.Sub(now)).UnixNano())
		}
		select {
		case <-tick.C:
		case command := <-commands:
			if command == "write" {
				fmt.Printf("wrote held=%v answer=%s\n", grant.Held(), put(grant))
			}
		}
	}
}

// put writes to the resource as if belief did not matter.
func put(grant *lockstep.Grant) string {
	body := strings.NewReader(fmt.Sprintf("%v %v late", grant.Token(), grant.Floor()))
	response, err := http.Post(os.Getenv(envResource), "text/plain", body)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return strconv.Itoa(response.StatusCode) + " " + strings.TrimSpace(string(text))
}

// believed is the last instant until which the process said that it believes.
func believed(t *testing.T, p *harness.Process) time.Time {
	t.Helper()
	var last int64
	for _, line := range p.Lines() {
		if text, ok := strings.CutPrefix(line, "believes "); ok {
			n, err := strconv.ParseInt(text, 10, 64)
			require.NoError(t, err)
			last = max(last, n)
		}
	}
	require.NotZero(t, last, "the holder never believed")
	return time.Unix(0, last)
}
