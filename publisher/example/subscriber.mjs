// Welcomes each new client once, like subscriber/main.go: NATS_URL=$(cat ../../clientele-data/nats.url) node subscriber.mjs
// First create its consumer: clientele events subscribe welcomer --only created
//
// The durable consumer remembers its position while the subscriber is stopped. An event can be delivered again with the same
// ce-id. The work and the ce-id are one line of one file, so that a crash cannot separate them; with a database, use one transaction.
import { appendFileSync, readFileSync } from 'node:fs'
import { jetstream } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'

const welcomed = process.env.WELCOMED ?? 'welcomed.txt'
appendFileSync(welcomed, '')
const seen = new Set(readFileSync(welcomed, 'utf8').split('\n').filter(Boolean).map((line) => line.split(' ')[0]))

// welcome gets the id of the client. With --event-fields id-only an event has no body: get the record from the API.
function welcome(event, client) {
  appendFileSync(welcomed, `${event} welcomed client ${client}\n`, { flush: true })
  console.log(`welcomed client ${client}`) // the id only: logs are no place for personal data
}

// The library does not read the user and the password of a URL.
const url = new URL(process.env.NATS_URL ?? 'nats://127.0.0.1:4222')
const nc = await connect({ servers: url.host, user: url.username || undefined, pass: decodeURIComponent(url.password) || undefined })
console.log(`waiting for client.created; ${welcomed} has ${seen.size} processed events`)
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => nc.drain())
const consumer = await jetstream(nc).consumers.get('CLIENT_EVENTS', 'welcomer')
for await (const event of await consumer.consume()) {
  const id = event.headers.get('ce-id')
  if (!seen.has(id)) {
    welcome(id, event.headers.get('ce-subject')) // event.json() is the record
    seen.add(id)
  }
  event.ack() // otherwise it is delivered again
}
