// Welcomes each new client once: NATS_URL=nats://127.0.0.1:4222 node subscriber.mjs
//
// The consumer is durable: it goes on where it was when the subscriber comes back. An event that comes again is told by its
// ce-id. What is done and which events are done is one line in one file, so that a crash cannot part them.
import { appendFileSync, readFileSync } from 'node:fs'
import { AckPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'

const welcomed = process.env.WELCOMED ?? 'welcomed.txt'
appendFileSync(welcomed, '')
const seen = new Set(readFileSync(welcomed, 'utf8').split('\n').map((line) => line.split(' ')[0]))

function welcome(event, client) {
  appendFileSync(welcomed, `${event} welcome, ${client.firstName}\n`, { flush: true })
  console.log(`welcomed client ${client.id}`)
}

const nc = await connect({ servers: process.env.NATS_URL ?? 'nats://127.0.0.1:4222' })
await (await jetstreamManager(nc)).consumers.add('CLIENT_EVENTS', {
  durable_name: 'welcomer', filter_subject: 'client.created', ack_policy: AckPolicy.Explicit,
})
console.log(`waiting for client.created; ${welcomed} holds the ${seen.size - 1} events that are done`)
const consumer = await jetstream(nc).consumers.get('CLIENT_EVENTS', 'welcomer')
for await (const event of await consumer.consume()) {
  const id = event.headers.get('ce-id')
  if (!seen.has(id)) {
    welcome(id, event.json())
    seen.add(id)
  }
  event.ack() // else it is delivered again
}
