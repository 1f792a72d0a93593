package transporttest

import "testing"

// Run holds an implementation to the contract.
func Run(t *testing.T, factory Factory) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(t *testing.T, factory Factory)
	}{
		{"who is there", testPeer},
		{"dial to nobody", testDialNobody},
		{"dial with an ended context", testDialEnded},
		{"dial to a bad address", testDialBadAddress},
		{"dial by a stranger is refused", testDialByStranger},
		{"dial to a stranger is refused", testDialToStranger},
		{"dial to one that fell silent", testDialSilent},
		{"address in use", testAddressInUse},
		{"accept ends with its context", testAcceptContext},
		{"accept after close", testAcceptAfterClose},
		{"listener close closes connections", testListenerClose},
		{"close reason reaches the peer", testCloseReason},
		{"close wakes every call", testCloseWakes},
		{"half-open connection is noticed", testHalfOpen},
		{"silence shorter than the idle timeout", testShortSilence},

		{"bytes arrive in order", testOrder},
		{"both directions at once", testFullDuplex},
		{"purposes", testPurposes},
		{"stream is seen once written", testSeenOnceWritten},
		{"end of stream", testEndOfStream},
		{"end of a stream without bytes", testEmptyStream},
		{"read deadline", testReadDeadline},
		{"write deadline", testWriteDeadline},
		{"reset mid-frame", testResetMidFrame},
		{"reset wakes both sides", testResetWakes},
		{"reset of a stream nobody saw", testResetUnseen},
		{"huge and zero frames", testFrames},
		{"slow readers delay nobody else", testSlowReaders},
		{"thousands of streams", testThousandsOfStreams},
		{"streams from both sides at once", testConcurrentOpen},
		{"stream limit", testStreamLimit},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, factory) })
	}
}
