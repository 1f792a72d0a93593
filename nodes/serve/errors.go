package serve

import "errors"

var (
	// errSlowReader ends the stream of a client that reads more slowly than it asks.
	errSlowReader = errors.New("serve: the client reads too slowly")
	// errRelayEnded ends what is still to be written to the leader.
	errRelayEnded = errors.New("serve: the relay has ended")
	// errTenureOver is returned where the tenure ended while a read was prepared.
	errTenureOver = errors.New("this node has stopped leading")
)
