// Make the examples use the address of this page, and add a button that copies them.
for (const pre of document.querySelectorAll('pre')) {
  const code = pre.querySelector('code')
  code.textContent = code.textContent.replaceAll('http://127.0.0.1:8080', location.origin)
  code.tabIndex = 0 // makes it scrollable by keyboard
  const button = document.createElement('button')
  button.type = 'button'
  button.textContent = 'Copy'
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(code.textContent)
      button.textContent = 'Copied'
    } catch { // the clipboard requires TLS: select the text instead
      getSelection().selectAllChildren(code)
      button.textContent = 'Selected'
    }
    setTimeout(() => { button.textContent = 'Copy' }, 2000)
  })
  pre.append(button)
}

// Redoc selects the lowest status. Select 202 instead, the response to a request that does not wait.
const seen = new WeakSet()
new MutationObserver(() => {
  for (const tabs of document.querySelectorAll('redoc [role=tablist][data-response-codes-tablist]')) {
    const accepted = [...tabs.children].find((tab) => tab.textContent === '202')
    if (accepted && !seen.has(tabs)) {
      seen.add(tabs)
      accepted.click()
    }
  }
}).observe(document.querySelector('redoc'), { childList: true, subtree: true })
