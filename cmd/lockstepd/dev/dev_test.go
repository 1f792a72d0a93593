//go:build unix

package dev

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"lockstep/cmd/lockstepd/exits"
	"lockstep/cmd/lockstepd/settings"
)

// The test binary stands for lockstepd: it says who it is, then does what the
// file "orders" in its folder says, once.
func TestMain(m *testing.M) {
	if os.Getenv("LOCKSTEP_TEST_NODE") == "" {
		os.Exit(m.Run())
	}
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	dir := filepath.Dir(os.Args[3])
	fmt.Printf("process %d serves %s\n", os.Getpid(), filepath.Base(dir))
	orders, err := os.ReadFile(filepath.Join(dir, "orders"))
	if err == nil {
		_ = os.Remove(filepath.Join(dir, "orders"))
		code, _ := strconv.Atoi(string(orders))
		os.Exit(code)
	}
	<-terminated
	fmt.Println("stopped cleanly")
	os.Exit(0)
}

type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

type world struct {
	out    *output
	stop   context.CancelFunc
	hurry  chan struct{}
	result chan error
}

func deps(t *testing.T, out *output) Deps {
	t.Helper()
	t.Setenv("LOCKSTEP_TEST_NODE", "1")
	program, err := os.Executable()
	require.NoError(t, err)
	return Deps{
		Program: program,
		Certify: func(Layout, *Plan) error { return nil },
		Ask: func(_ context.Context, _ Layout, p *Plan) Health {
			return Health{Leader: p.Members[0].Node, Answering: strings.Count(out.String(), "serves")}
		},
		Out: out,
	}
}

func start(t *testing.T, cfg Config) *world {
	t.Helper()
	w := &world{out: &output{}, hurry: make(chan struct{}), result: make(chan error, 1)}
	d := deps(t, w.out)
	ctx, stop := context.WithCancel(t.Context())
	w.stop = stop
	go func() { w.result <- Run(ctx, w.hurry, cfg, d) }()
	t.Cleanup(func() {
		stop()
		<-w.result
	})
	return w
}

func (w *world) eventually(t *testing.T, want string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(w.out.String(), want) }, 20*time.Second, time.Millisecond,
		"never printed %q", want)
}

func (w *world) end(t *testing.T) error {
	t.Helper()
	w.stop()
	err := <-w.result
	w.result <- nil
	return err
}

func TestStartsRemembersAndStops(t *testing.T) {
	dir := t.TempDir()
	w := start(t, Config{Data: dir, Ports: UsualPorts()})
	w.eventually(t, "The cluster is healthy")
	for _, n := range []string{"n1", "n2", "n3"} {
		assert.Contains(t, w.out.String(), n+" | process")
	}
	assert.Contains(t, w.out.String(), "lock /demo --data "+dir)
	require.NoError(t, w.end(t))
	assert.Equal(t, 3, strings.Count(w.out.String(), "stopped cleanly"))

	first, err := os.ReadFile(filepath.Join(dir, "dev.json"))
	require.NoError(t, err)
	again := start(t, Config{Data: dir, Ports: UsualPorts()})
	again.eventually(t, "The cluster is healthy")
	require.NoError(t, again.end(t))
	second, err := os.ReadFile(filepath.Join(dir, "dev.json"))
	require.NoError(t, err)
	assert.Equal(t, string(first), string(second), "the ports are remembered")
}

// What dev writes is what serve reads.
func TestWritesValidConfigurations(t *testing.T) {
	dir := t.TempDir()
	plan, err := prepare(Layout{dir}, Config{Nodes: 5, Ports: UsualPorts()}, deps(t, &output{}))
	require.NoError(t, err)
	for _, m := range plan.Members {
		l := settings.New()
		require.NoError(t, l.ReadFile(Layout{dir}.Config(m.Node)))
		require.NoError(t, l.Validate())
		assert.Equal(t, m.Node, l.Node)
		assert.Len(t, l.Members, 5)
		assert.Equal(t, filepath.Join(dir, m.Node, "data"), l.Data)
	}
	endpoints, err := os.ReadFile(filepath.Join(dir, "client", "endpoints"))
	require.NoError(t, err)
	assert.Equal(t, 4, strings.Count(string(endpoints), ","))
}

func TestRestartsWhatCrashed(t *testing.T) {
	w := start(t, Config{Data: t.TempDir(), Nodes: 1, Ports: UsualPorts()})
	w.eventually(t, "The cluster is healthy")
	pid := regexp.MustCompile(`process (\d+) serves`).FindStringSubmatch(w.out.String())[1]
	n, err := strconv.Atoi(pid)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(n, syscall.SIGKILL))
	w.eventually(t, "n1 was ended by signal 9; it is started again in 250ms")
	require.Eventually(t, func() bool { return strings.Count(w.out.String(), "serves n1") == 2 }, 20*time.Second, time.Millisecond)
	require.NoError(t, w.end(t))
}

func TestGivesUpWhereRestartingDoesNotHelp(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "n1"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "n1", "orders"), fmt.Append(nil, int(exits.DiskFull)), 0o600))
	w := start(t, Config{Data: dir, Nodes: 2, Ports: UsualPorts()})
	w.eventually(t, "n1 halted because its disk is full: make room")
	w.eventually(t, "1 of 2 nodes are left")
	assert.Equal(t, 1, strings.Count(w.out.String(), "serves n1"))
	require.NoError(t, w.end(t))
}

func TestEndsWhenAllHaveGivenUp(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "n1"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "n1", "orders"), fmt.Append(nil, int(exits.Config)), 0o600))
	w := start(t, Config{Data: dir, Nodes: 1, Ports: UsualPorts()})
	err := <-w.result
	w.result <- nil
	require.Error(t, err)
	assert.Contains(t, err.Error(), "refused its configuration")
}

func TestRefusesADirectoryInUse(t *testing.T) {
	dir := t.TempDir()
	w := start(t, Config{Data: dir, Nodes: 1, Ports: UsualPorts()})
	w.eventually(t, "The cluster is healthy")
	err := Run(t.Context(), nil, Config{Data: dir, Ports: UsualPorts()}, deps(t, &output{}))
	require.ErrorIs(t, err, ErrPlan)
	assert.Contains(t, err.Error(), "is in use by another lockstepd dev (process "+strconv.Itoa(os.Getpid())+")")
	require.NoError(t, w.end(t))
}

func TestRefusesAnotherSize(t *testing.T) {
	dir := t.TempDir()
	d := deps(t, &output{})
	_, err := prepare(Layout{dir}, Config{Nodes: 1, Ports: UsualPorts()}, d)
	require.NoError(t, err)
	_, err = prepare(Layout{dir}, Config{Nodes: 3, Ports: UsualPorts()}, d)
	require.ErrorIs(t, err, ErrPlan)
	assert.Contains(t, err.Error(), "has a cluster of 1 nodes, not 3")
	_, err = prepare(Layout{dir}, Config{Nodes: 10, Ports: UsualPorts()}, d)
	require.ErrorIs(t, err, ErrPlan)
}

func TestRefusesAPortThatSomebodyTook(t *testing.T) {
	dir := t.TempDir()
	d := deps(t, &output{})
	plan, err := prepare(Layout{dir}, Config{Nodes: 1, Ports: UsualPorts()}, d)
	require.NoError(t, err)
	conn, err := net.ListenPacket("udp", plan.Members[0].Address)
	require.NoError(t, err)
	defer conn.Close()
	_, err = prepare(Layout{dir}, Config{Ports: UsualPorts()}, d)
	require.ErrorIs(t, err, ErrPlan)
	assert.Contains(t, err.Error(), plan.Members[0].Address+" of n1 is in use")
}

func TestTakesOtherPortsWhenTheUsualOnesAreTaken(t *testing.T) {
	// Whoever has the usual port, this test or somebody else: the plan avoids it.
	if conn, err := net.ListenPacket("udp", loopback(UsualPorts().UDP)); err == nil {
		defer conn.Close()
	}
	plan, err := pick(3, UsualPorts())
	require.NoError(t, err)
	assert.NotEqual(t, loopback(UsualPorts().UDP), plan.Members[0].Address)
	require.NoError(t, plan.taken())
}

func TestRefusesAForeignPlan(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "dev.json"), []byte(`{"version": 99}`), 0o600))
	_, err := Layout{dir}.readPlan()
	require.ErrorIs(t, err, ErrPlan)
}

func TestFailedCertificatesAreNoFirstStart(t *testing.T) {
	dir := t.TempDir()
	d := deps(t, &output{})
	broken := errors.New("no entropy")
	d.Certify = func(Layout, *Plan) error { return broken }
	_, err := prepare(Layout{dir}, Config{Ports: UsualPorts()}, d)
	require.ErrorIs(t, err, broken)
	plan, err := Layout{dir}.readPlan()
	require.NoError(t, err)
	assert.Nil(t, plan)
}

func TestPrefixKeepsLinesWhole(t *testing.T) {
	var out bytes.Buffer
	p := &prefixer{mu: &sync.Mutex{}, w: &out, prefix: []byte("n1 | ")}
	p.copy(&trickle{parts: []string{"on", "e\ntwo\nth", "ree", strings.Repeat("x", 3)}})
	assert.Equal(t, "n1 | one\nn1 | two\nn1 | threexxx\n", out.String())
}

type trickle struct{ parts []string }

func (r *trickle) Read(p []byte) (int, error) {
	if len(r.parts) == 0 {
		return 0, errors.New("end")
	}
	n := copy(p, r.parts[0])
	r.parts = r.parts[1:]
	return n, nil
}
