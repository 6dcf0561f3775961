// A caller in TypeScript, with openapi-fetch and the types that openapi-typescript generates from the contract. It reads the URL of the API
// and a token from API and TOKEN, creates four clients, and prints their ids.
import createClient from 'openapi-fetch'
import type { components, paths } from './api.ts'

declare const process: { env: Record<string, string> }

type CreateClient = components['schemas']['CreateClient']
type BatchLine = components['schemas']['BatchLine']
type BatchResult = components['schemas']['BatchResult']

const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))
const retryAfter = (response: Response) => Number(response.headers.get('Retry-After') ?? 0.1) * 1000

// Sends a request again after a 503, or if no response arrives. Requests that create clients have a key, so that is safe.
const retrying = async (request: Request): Promise<Response> => {
  for (let attempt = 1; ; attempt++) {
    const response = await fetch(request.clone()).catch((error) => {
      if (attempt === 10) throw error
    })
    if (response && (response.status !== 503 || attempt === 10)) return response
    await sleep(response ? retryAfter(response) : 100)
  }
}

const api = createClient<paths>({
  baseUrl: process.env.API,
  headers: { Authorization: `Bearer ${process.env.TOKEN}` },
  fetch: retrying,
})

const expect = (what: string, condition: boolean, ...got: unknown[]) => {
  if (!condition) throw new Error(`${what}: ${JSON.stringify(got)}`)
}

const least: CreateClient = { firstName: 'Jane', lastName: 'Smith', emailAddress: 'jsmith@example.com' }
// Only the channels that the client agreed to are named, and an optional object may be null.
const more: CreateClient = { ...least, communicationPreferences: { email: true }, address: null, title: null }

// Creates a client, polls its operation, gets the client, and gets it again unless it has changed.
async function one() {
  const header = { 'Idempotency-Key': 'onboarding-1' }
  const created = await api.POST('/api/v2/clients', { params: { header }, body: least })
  if (!created.data || !('links' in created.data)) throw new Error(`create: ${JSON.stringify(created.error)}`)
  const path = { id: created.data.id }

  let operation = await api.GET('/api/v2/operations/{id}', { params: { path } })
  while (operation.data?.status === 'pending') {
    await sleep(retryAfter(operation.response))
    operation = await api.GET('/api/v2/operations/{id}', { params: { path } })
  }
  expect('outcome', operation.data?.status === 'succeeded', operation)

  const got = await api.GET('/api/v2/clients/{id}', { params: { path } })
  expect('get', got.data?.firstName === 'Jane' && got.data.id === path.id && got.data.title === null, got)
  const tag = got.response.headers.get('ETag') ?? ''
  const again = await api.GET('/api/v2/clients/{id}', { params: { path, header: { 'If-None-Match': tag } } })
  expect('get with If-None-Match', again.response.status === 304, again)

  const retried = await api.POST('/api/v2/clients', { params: { header }, body: least })
  expect('retry', retried.response.status === 202 && !!retried.data && 'id' in retried.data && retried.data.id === path.id, retried)
  console.log(path.id)
}

// Creates a client and waits for it.
async function waiting() {
  const header = { 'Idempotency-Key': 'onboarding-2', Prefer: 'wait=20' }
  const { data, response } = await api.POST('/api/v2/clients', { params: { header }, body: more })
  if (response.status !== 201 || !data || !('firstName' in data)) throw new Error(`create and wait: ${response.status}`)
  expect('the record', data.communicationPreferences?.email === true && data.communicationPreferences.sms === false && data.title === null, data)
  console.log(data.id)
}

// Sends requests that are not accepted.
async function refused() {
  const header = { 'Idempotency-Key': 'onboarding-1' }
  const reused = await api.POST('/api/v2/clients', { params: { header }, body: { ...least, firstName: 'Janet' } })
  expect('another request under the key', reused.response.status === 422 && reused.error?.type === '/problems/idempotency-key-reused', reused)
  const invalid = await api.POST('/api/v2/clients', { body: { ...least, lastName: ' ', dob: '2999-01-01' } })
  expect('an invalid client', invalid.error?.type === '/problems/invalid' && invalid.error.errors?.[0]?.pointer === '/lastName', invalid)
  const id = '01a20bd4-01d7-7d2e-a935-fcf5e4e41142'
  const unknown = await api.GET('/api/v2/clients/{id}', { params: { path: { id } } })
  expect('an unknown client', unknown.response.status === 404 && unknown.error?.type === '/problems/not-found', unknown)
}

async function dryRun() {
  const { data, response } = await api.POST('/api/v2/clients', { params: { query: { validate: 'only' } }, body: least })
  expect('dry run', response.status === 200 && !!data && 'status' in data && data.status === 'valid', data)
}

// Creates two clients with one request, in which another line is not valid, and waits for them.
async function many() {
  const lines: BatchLine[] = [
    { idempotencyKey: 'onboarding-3', client: least },
    { client: { ...least, emailAddress: '' } },
    { idempotencyKey: 'onboarding-4', client: least },
  ]
  const { data } = await api.POST('/api/v2/clients/batch', {
    headers: { 'Content-Type': 'application/x-ndjson' },
    body: lines[0]!,
    bodySerializer: () => lines.map((line) => JSON.stringify(line) + '\n').join(''),
    parseAs: 'text',
  })
  const results: BatchResult[] = (data as string).trimEnd().split('\n').map((line) => JSON.parse(line))
  expect('batch', results.map((result) => result.status).join() === '202,422,202', results)
  for (const { body } of results) {
    if (!('links' in body)) continue
    const operation = await api.GET('/api/v2/operations/{id}', { params: { path: { id: body.id }, header: { Prefer: 'wait=20' } } })
    expect('operation', operation.data?.status === 'succeeded', operation)
    console.log(body.id)
  }
}

await one()
await waiting()
await refused()
await dryRun()
await many()
