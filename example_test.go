package lockstep_test

import (
	"context"
	"errors"
	"fmt"

	"lockstep"
)

// Beside a cluster that `lockstepd dev` has started, this needs no options.
// (Package client has examples that run by themselves.)
func Example() {
	ctx := context.Background()
	c, err := lockstep.Open(ctx, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	session, err := c.NewSession(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.End(ctx)

	err = lockstep.Do(ctx, session.Lock("/orders/eu/42"), func(ctx context.Context, g *lockstep.Grant) error {
		// ctx ends when the lock can no longer be relied on.
		fmt.Println("holding", g.Path(), "with token", g.Token(), "and floor", g.Floor())
		return nil
	})
	switch {
	case errors.Is(err, lockstep.ErrUnavailable):
		fmt.Println("the service is down:", err)
	case err != nil:
		fmt.Println(err)
	}
}

// A cluster elsewhere is named by its endpoints and certificates.
func ExampleOpen() {
	c, err := lockstep.Open(context.Background(),
		[]string{"lock1.example:7400", "lock2.example:7400", "lock3.example:7400"},
		lockstep.WithTLSFiles("ca.pem", "client.pem", "client-key.pem"),
		lockstep.WithCluster("production"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
}
