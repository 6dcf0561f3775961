// Package publisher writes to NATS JetStream: commands for the ingress, events and rejections for the worker. Package
// streams creates the streams. Package bulk publishes many messages at once. Package audit writes CLIENT_AUDIT, package subscription
// CLIENT_SUBSCRIPTIONS, and package endpoint KV_CLIENT_WEBHOOKS.
//
// # Subjects
//
// Each subject, its stream and its messages. ID is the id of the command, of its operation and of the client.
//
//	client.create.ID        CLIENT_COMMANDS    create this client: the normalised request; one for each id
//	client.sync.ID          CLIENT_COMMANDS    "sync": its acknowledgement means that every earlier message is on disk
//	client.created          CLIENT_EVENTS      a client exists: its record; at least one for each client
//	client.erased           CLIENT_EVENTS      erase your copy of a client: {"id": ID}
//	client.rejected.ID      CLIENT_REJECTIONS  the command will not create a client: the command and the reason
//	operation.completed.ID  none               empty: notifies waiting callers that the outcome is on disk
//	client.audit.ACTION     CLIENT_AUDIT       somebody acted on clients or was refused: a domain.AuditRecord
//	client.undelivered.NAME.SEQUENCE
//	                        CLIENT_SUBSCRIPTIONS
//	                                           the subscriber NAME has not accepted the event with this sequence: the reason
//	client.position.NAME    CLIENT_SUBSCRIPTIONS
//	                                           the subscriber NAME has accepted the events up to this sequence
//	$KV.CLIENT_WEBHOOKS.…   KV_CLIENT_WEBHOOKS
//	                                           endpoints of webhooks and their deliveries, see package endpoint
//	client.deliver.NAME     none               a request to deliver this event to the webhook NAME, once and now
//	client.replay.…         none               client.created again, for the current subscribers of this subject
//
// # Headers
//
// NATS header names are case-sensitive.
//
//	of a command: Clientele-Fingerprint   SHA-256 of the body, hexadecimal
//	              Clientele-Caller        name of the key, or subject of the token, that sent it
//	              Clientele-Key-Id        id of the API key, if the caller used one
//	              Clientele-Accepted-At   when the ingress accepted the request (RFC 3339)
//	              Clientele-Rules         version of the rules under which it was accepted; absent means 1
//	of an event:  ce-specversion, ce-id, ce-type, ce-source, ce-subject, ce-time, ce-datacontenttype, ce-dataschema,
//	              ce-acceptedat: CloudEvents 1.0.2 in binary mode; ce-id is the same for duplicates, ce-subject is the client's id
//	              Nats-Msg-Id             the ce-id, with which the stream drops duplicates; absent from replayed events
//	of both:      traceparent             the trace, if there is one (W3C Trace Context)
//	of a record:  Nats-Msg-Id             its id
//	of all but commands: Content-Type     application/json
//
// README.md describes how to subscribe, and example has programs that do. The bodies' JSON Schemas are in ingress/site/asyncapi.yaml.
package publisher
