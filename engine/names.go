package engine

// Every value of the closed sets prints one way, in logs, stories, failure reports
// and traces alike.

import "strconv"

func named(names []string, v uint8) string {
	if int(v) < len(names) && names[v] != "" {
		return names[v]
	}
	return "unknown " + strconv.Itoa(int(v))
}

var commandKindNames = []string{
	KindTakeOffice:    "take office",
	KindTick:          "tick",
	KindOpenSession:   "open session",
	KindTakeOver:      "take over",
	KindLeave:         "leave",
	KindEndSession:    "end session",
	KindSilent:        "silent",
	KindAlive:         "alive",
	KindExpireSession: "expire session",
	KindAcquire:       "acquire",
	KindRelease:       "release",
	KindCancel:        "cancel",
}

// String prints the command in words.
func (k CommandKind) String() string { return named(commandKindNames, uint8(k)) }

var eventKindNames = []string{
	EventTenureBegan:      "tenure began",
	EventSessionOpened:    "session opened",
	EventSessionTakenOver: "session taken over",
	EventSessionLeft:      "session left",
	EventSessionJeopardy:  "session jeopardy",
	EventSessionAlive:     "session alive",
	EventSessionExpired:   "session expired",
	EventSessionEnded:     "session ended",
	EventSessionGone:      "session gone",
	EventQueued:           "queued",
	EventGranted:          "granted",
	EventReentered:        "reentered",
	EventLeftOnce:         "left once",
	EventGrantEnded:       "grant ended",
	EventWaitEnded:        "wait ended",
	EventClosed:           "closed",
	EventReopened:         "reopened",
}

// String prints the event in words.
func (k EventKind) String() string { return named(eventKindNames, uint8(k)) }

var endReasonNames = []string{
	EndReleased:       "released",
	EndSessionExpired: "session expired",
	EndSessionEnded:   "session ended",
	EndHoldEnded:      "hold ended",
	EndWaitTimedOut:   "wait timed out",
	EndCancelled:      "cancelled",
}

// String prints the reason in words.
func (r EndReason) String() string { return named(endReasonNames, uint8(r)) }

var sessionStateNames = []string{
	SessionAlive:    "ALIVE",
	SessionJeopardy: "JEOPARDY",
	SessionExpired:  "EXPIRED",
}

// String prints the state in words.
func (s SessionState) String() string { return named(sessionStateNames, uint8(s)) }

var cancelOutcomeNames = []string{
	NeverExecuted: "never executed",
	Withdrawn:     "withdrawn",
	WasGranted:    "was granted",
	WasEnded:      "was ended",
}

// String prints the outcome in words.
func (o CancelOutcome) String() string { return named(cancelOutcomeNames, uint8(o)) }

var reasonNames = []string{
	ReasonSessionUnknown:       "session unknown",
	ReasonSessionExpired:       "session expired",
	ReasonSessionSuperseded:    "session superseded",
	ReasonNotYours:             "not yours",
	ReasonSequenceAcknowledged: "sequence acknowledged",
	ReasonSequenceWindow:       "sequence window",
	ReasonSequenceReused:       "sequence reused",
	ReasonCancelled:            "cancelled",
	ReasonHeld:                 "held",
	ReasonNotHolder:            "not holder",
	ReasonConversion:           "conversion",
	ReasonAlreadyWaiting:       "already waiting",
	ReasonResourceExhausted:    "resource exhausted",
	ReasonInvalid:              "invalid",
	ReasonEmbargoed:            "embargoed",
	ReasonStaleTerm:            "stale term",
}

// String prints the reason in words.
func (r Reason) String() string { return named(reasonNames, uint8(r)) }
