// A caller in TypeScript, with the types that openapi-typescript generates from the contract.
import type { components } from './api.ts'

type CreateClient = components['schemas']['CreateClient']
type ClientRecord = components['schemas']['ClientRecord']

export const least: CreateClient = { firstName: 'Jane', lastName: 'Smith', emailAddress: 'jsmith@example.com' }

// Only the channels that the client agreed to are named, and an optional object may be null.
export const more: CreateClient = { ...least, communicationPreferences: { email: true }, address: null, title: null }

export const agreed = (client: ClientRecord): boolean => client.communicationPreferences?.email ?? false
