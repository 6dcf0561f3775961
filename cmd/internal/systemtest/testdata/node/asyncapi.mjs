// Reads asyncapi.yaml with the parser of AsyncAPI, and prints errors and warnings. It hints that there is a newer AsyncAPI: few tools read it.
import { readFileSync } from 'node:fs'
import { Parser } from '@asyncapi/parser'

const { document, diagnostics } = await new Parser().parse(readFileSync('asyncapi.yaml', 'utf8'))
const warning = 1 // an error is 0
const found = diagnostics.filter(({ severity }) => severity <= warning)
for (const { code, message, path } of found) console.log(`${path.join('.')}: ${message} (${code})`)
if (!document || found.length > 0) process.exit(1)
console.log(`${document.allMessages().length} messages`)
