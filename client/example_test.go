package client_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"lockstep/client"
	"lockstep/nodes/nodestest"
)

// A cluster of three nodes inside this process. Programs call lockstep.Open.
var exampleCluster = sync.OnceValue(func() *nodestest.Cluster {
	cluster := nodestest.Start(outsideTests{}, nodestest.Config{})
	cluster.Leader()
	return cluster
})

var exampleClients uint64

func connect() *client.Client {
	cluster := exampleCluster()
	network, _ := cluster.Client("operator")
	exampleClients++
	c, err := client.Open(context.Background(), client.DefaultConfig(cluster.Addresses()...), client.Deps{
		Network: network, Clocks: cluster.Clocks(), Rand: rand.New(rand.NewPCG(99, exampleClients)),
	})
	if err != nil {
		panic(err)
	}
	return c
}

// outsideTests lets a test's cluster run where there is no test.
type outsideTests struct{ testing.TB }

func (outsideTests) Helper()                   {}
func (outsideTests) Cleanup(func())            {}
func (outsideTests) Errorf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
func (outsideTests) FailNow()                  { panic("failed") }

// Open a session, take a lock, and pass its token and floor to what it protects.
func Example() {
	ctx := context.Background()
	c := connect()
	defer c.Close()
	session, err := c.NewSession(ctx, client.TTL(10*time.Second), client.Label("example"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.End(ctx)

	grant, err := session.Lock("/example/orders/42").Acquire(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(grant.Path(), grant.Mode(), grant.Held(), grant.Token() > grant.Floor())
	fmt.Println(grant.Release(ctx), grant.Held())
	// Output:
	// /example/orders/42 exclusive true true
	// <nil> false
}

// Do releases the lock afterwards, and ends the function's context when the lock
// can no longer be relied on.
func ExampleDo() {
	ctx := context.Background()
	c := connect()
	defer c.Close()
	session, _ := c.NewSession(ctx)
	defer session.End(ctx)

	err := client.Do(ctx, session.Lock("/example/do"), func(ctx context.Context, g *client.Grant) error {
		fmt.Println("holding", g.Path())
		return ctx.Err()
	})
	fmt.Println(err)
	// Output:
	// holding /example/do
	// <nil>
}

// Errors can be branched on.
func ExampleLock_TryAcquire() {
	ctx := context.Background()
	c := connect()
	defer c.Close()
	session, _ := c.NewSession(ctx)
	defer session.End(ctx)

	holder, other := session.Lock("/example/try"), session.Lock("/example/try")
	grant, _ := holder.TryAcquire(ctx)
	_, err := other.TryAcquire(ctx)
	var refusal *client.Error
	if errors.Is(err, client.ErrHeld) && errors.As(err, &refusal) {
		fmt.Println("held with our token:", refusal.Holder.Token == grant.Token())
	}

	_, err = other.Acquire(ctx, client.WithWait(100*time.Millisecond))
	fmt.Println("waited in vain:", errors.Is(err, client.ErrTimeout))
	// Output:
	// held with our token: true
	// waited in vain: true
}

// Readers share; a writer waits for all of them.
func ExampleShared() {
	ctx := context.Background()
	c := connect()
	defer c.Close()
	session, _ := c.NewSession(ctx)
	defer session.End(ctx)

	first, _ := session.Lock("/example/shared", client.Shared()).Acquire(ctx)
	second, _ := session.Lock("/example/shared", client.Shared()).Acquire(ctx)
	fmt.Println(first.Held(), second.Held(), first.Floor() == second.Floor())
	_, err := session.Lock("/example/shared").TryAcquire(ctx)
	fmt.Println(errors.Is(err, client.ErrHeld))
	// Output:
	// true true true
	// true
}

// A restarted process continues where its predecessor was killed.
func ExampleClient_TakeOver() {
	ctx := context.Background()
	before := connect()
	old, _ := before.NewSession(ctx)
	grant, _ := old.Lock("/example/take-over").Acquire(ctx)
	credential := old.Credential() // stored where only the successor can read it
	before.Close()

	after := connect()
	defer after.Close()
	session, err := after.TakeOver(ctx, credential)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, g := range session.Grants() {
		fmt.Println(g.Path(), g.Held(), g.Token() == grant.Token())
	}
	// Output:
	// /example/take-over true true
}

// A watch is a loop over what happens.
func ExampleClient_Watch() {
	ctx := context.Background()
	c := connect()
	defer c.Close()
	session, _ := c.NewSession(ctx)
	defer session.End(ctx)
	lock := session.Lock("/example/watched/a")

	for e, err := range c.Watch(ctx, "/example/watched", client.WithListing()) {
		if err != nil {
			fmt.Println(err)
			return
		}
		switch e.Kind {
		case client.EventListing:
			fmt.Println(len(e.Locks), "locks")
			grant, _ := lock.Acquire(ctx)
			_ = grant.Release(ctx)
		case client.EventGrantEnded:
			fmt.Println(e.Kind, e.Path, e.Reason)
			return
		default:
			fmt.Println(e.Kind, e.Path)
		}
	}
	// Output:
	// 0 locks
	// granted /example/watched/a
	// grant ended /example/watched/a released
}

// A Locker is for code that wants a sync.Locker.
func ExampleSession_Locker() {
	ctx := context.Background()
	c := connect()
	defer c.Close()
	session, _ := c.NewSession(ctx)
	defer session.End(ctx)

	var mu sync.Locker = session.Locker("/example/locker")
	n := 0
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			mu.Lock()
			defer mu.Unlock()
			n++
		})
	}
	wg.Wait()
	fmt.Println(n)
	// Output:
	// 4
}
