// The examples name the place that the page is from, and can be copied.
for (const pre of document.querySelectorAll('pre')) {
  const code = pre.querySelector('code')
  code.textContent = code.textContent.replaceAll('http://127.0.0.1:8080', location.origin)
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
