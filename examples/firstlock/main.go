// Command firstlock holds a lock while it works, and says so.
package main

import (
	"context"
	"fmt"
	"log"

	"lockstep"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	c, err := lockstep.Open(ctx, nil) // finds the cluster of `make run` by itself
	if err != nil {
		return err
	}
	defer c.Close()
	session, err := c.NewSession(ctx)
	if err != nil {
		return err
	}
	defer session.End(ctx)

	lock := session.Lock("/orders/eu/42")
	return lockstep.Do(ctx, lock, func(ctx context.Context, g *lockstep.Grant) error {
		// ctx ends when the lock can no longer be relied on. Pass token and floor
		// to what you write to, and let it refuse what is too old: client/fence.
		fmt.Printf("holding %s with token %v, floor %v\n", g.Path(), g.Token(), g.Floor())
		return ctx.Err()
	})
}
