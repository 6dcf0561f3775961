// The examples name the place that the page is from, and can be copied.
for (const pre of document.querySelectorAll('pre')) {
  const code = pre.querySelector('code')
  code.textContent = code.textContent.replaceAll('http://127.0.0.1:8080', location.origin)
  code.tabIndex = 0 // it scrolls
  const button = document.createElement('button')
  button.type = 'button'
  button.textContent = 'Copy'
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(code.textContent)
      button.textContent = 'Copied'
    } catch { // without TLS there is no clipboard: select it instead
      getSelection().selectAllChildren(code)
      button.textContent = 'Selected'
    }
    setTimeout(() => { button.textContent = 'Copy' }, 2000)
  })
  pre.append(button)
}

// Redoc shows the lowest status first. A request that does not wait is answered with 202, so that is shown first instead.
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
