// What every page of the console does.

// A session that has ended is asked to sign in, in place of a part of the page.
document.addEventListener('htmx:beforeSwap', (event) => {
  if (event.detail.xhr.status === 401) {
    event.detail.shouldSwap = false
    location.reload()
  }
})

// Select all rejections on the page.
function prepareSelectAll() {
  const all = document.getElementById('select-all')
  if (!all) return
  const boxes = () => all.closest('form').querySelectorAll('input[name=id]')
  all.hidden = false
  all.addEventListener('change', () => boxes().forEach((box) => { box.checked = all.checked }))
  all.closest('form').addEventListener('change', (event) => {
    if (event.target.name === 'id') all.checked = [...boxes()].every((box) => box.checked)
  })
}
document.addEventListener('DOMContentLoaded', prepareSelectAll)
document.addEventListener('htmx:afterSwap', prepareSelectAll)
