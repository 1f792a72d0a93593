//go:build !wasip1

package quic

import "net"

// UDP opens UDP sockets of the machine.
func UDP(address string) (net.PacketConn, error) { return net.ListenPacket("udp", address) }

var _ Sockets = UDP
