// What every page does with its elements. Text from outside goes in as text, never as markup.

export const find = (selector, root = document) => root.querySelector(selector);

// make builds an element: make('button', { type: 'button', class: 'plain' }, 'End').
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// tell puts a sentence where screen readers announce it; alarm does so at once.
export function tell(text) { find('#alert').textContent = ''; find('#status').textContent = text; }
export function alarm(text) { find('#status').textContent = ''; find('#alert').textContent = text; }

// submit runs work with the fields of a form when it is sent, once at a time, and shows what went wrong.
export function submit(form, work) {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    attempt(form, () => work(Object.fromEntries(new FormData(form)), form));
  });
}

// press runs work when a button is pressed, once at a time, and shows what went wrong.
export function press(button, work) {
  button.addEventListener('click', () => attempt(button, work));
}

// attempt keeps what was pressed from being pressed again until the work is done.
export async function attempt(element, work) {
  const buttons = element.matches('button') ? [element] : [...element.querySelectorAll('button')];
  if (buttons.some((b) => b.disabled)) return;
  for (const b of buttons) b.disabled = true;
  element.setAttribute('aria-busy', 'true');
  try {
    await work();
  } catch (error) {
    alarm(error.message);
  } finally {
    element.removeAttribute('aria-busy');
    for (const b of buttons) b.disabled = false;
  }
}

// show makes one of the steps of a page visible and brings the focus to it.
export function show(name) {
  for (const step of document.querySelectorAll('[data-step]')) step.hidden = step.dataset.step !== name;
  find('#alert').textContent = '';
  const step = find(`[data-step="${name}"]`);
  const heading = find('h1', step);
  document.title = `${heading.textContent} · Concord`;
  const field = [...step.querySelectorAll('input')].find((i) => i.offsetParent && !i.value);
  (step.dataset.calm === undefined ? field ?? heading : heading).focus(); // a calm page is for reading first
}

const times = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

// when writes a time of the API in the person's own way; nothing for none.
export const when = (text) => (text ? times.format(new Date(text)) : '');
