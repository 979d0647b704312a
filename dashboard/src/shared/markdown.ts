/**
 * Texts that models and people have written, as Markdown.
 *
 * Nothing in them is trusted. HTML is shown, not taken; an image is not fetched, since its address could carry off what the text
 * holds; and what Markdown makes of the text goes through DOMPurify last, which answers with elements rather than with HTML.
 */
import DOMPurify from 'dompurify'
import MarkdownIt from 'markdown-it'

const markdown = new MarkdownIt({ html: false, linkify: false }).disable('image')

/** They stand below the heading of the text that they are part of. */
const LEVELS_ABOVE = 2
markdown.core.ruler.push('headings', ({ tokens }) => {
  for (const token of tokens) {
    if (token.type.startsWith('heading_')) token.tag = `h${Math.min(Number(token.tag.slice(1)) + LEVELS_ABOVE, 6)}`
  }
})

const purify = DOMPurify(window)
purify.addHook('afterSanitizeAttributes', (element) => {
  // What scrolls can be reached by the keyboard.
  if (element.tagName === 'PRE' || element.tagName === 'TABLE') element.setAttribute('tabindex', '0')
  if (element.tagName !== 'A') return
  element.setAttribute('target', '_blank')
  element.setAttribute('rel', 'noopener noreferrer nofollow')
})

/** A longer text would keep the page busy; it is shown as it is. */
export const LONGEST_MARKDOWN = 200_000

export function rendered(text: string): DocumentFragment {
  return purify.sanitize(markdown.render(text), {
    RETURN_DOM_FRAGMENT: true,
    USE_PROFILES: { html: true },
    FORBID_TAGS: ['style', 'img', 'form', 'input', 'button', 'video', 'audio', 'iframe'],
    FORBID_ATTR: ['style', 'id', 'name', 'class'],
    ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  })
}
