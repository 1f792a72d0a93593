// Package lockstep is the Go client of the Lockstep lock service over QUIC: it
// brings network, certificates and clocks to package lockstep/client, and
// decides nothing itself.
//
// [Open] connects to a cluster. Without options it looks where `lockstepd dev`
// leaves what a client needs, so that a program works beside a development
// cluster as it is:
//
//	c, err := lockstep.Open(ctx, nil)
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	session, err := c.NewSession(ctx)
//	if err != nil {
//		return err
//	}
//	defer session.End(context.WithoutCancel(ctx))
//	return lockstep.Do(ctx, session.Lock("/orders/eu/42"), func(ctx context.Context, g *lockstep.Grant) error {
//		return process(ctx, g.Token(), g.Floor())
//	})
//
// Everything else is package client's, under the same names.
package lockstep
