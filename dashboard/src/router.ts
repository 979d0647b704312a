import { createRouter, createWebHistory, type RouteLocationRaw, type Router, type RouteRecordRaw } from 'vue-router'

import SessionsPage from './pages/SessionsPage.vue'

const routes: readonly RouteRecordRaw[] = [
  { path: '/', name: 'sessions', component: SessionsPage, meta: { title: 'Sessions' } },
  {
    // The name of a session is any text, slashes included.
    path: '/sessions/:sessionId(.+)',
    name: 'session',
    component: () => import('./pages/SessionPage.vue'),
    props: true,
    meta: { title: 'Session' },
  },
  {
    path: '/prompts/:id',
    name: 'prompt',
    component: () => import('./pages/PromptPage.vue'),
    props: true,
    meta: { title: 'Prompt' },
  },
  { path: '/agents', name: 'agents', component: () => import('./pages/AgentsPage.vue'), meta: { title: 'Agents' } },
  { path: '/system', name: 'system', component: () => import('./pages/SystemPage.vue'), meta: { title: 'System' } },
  { path: '/:rest(.*)', name: 'nowhere', component: () => import('./pages/NowherePage.vue'), meta: { title: 'Not found' } },
]

const RETURN_MS = 3000
/** Pixels, about a row: rows are measured when they are shown, which moves what is below them. */
const CLOSE = 50
/** Frames in which nothing has moved. */
const SETTLED = 5
/** By these a reader goes elsewhere. */
const MOVES = ['wheel', 'touchstart', 'keydown', 'pointerdown'] as const

/** It reads the address when it is made. */
export function makeRouter(): Router {
  const router = createRouter({
    history: createWebHistory(),
    routes,
    scrollBehavior: (to, from, saved) => (to.path === from.path ? {} : saved ? comeTo(saved.top, to.fullPath) : { top: 0 }),
  })

  /** A list that was left is loaded again, page by page as one comes to its end: who goes back is led to where they were. */
  async function comeTo(top: number, path: string): Promise<false> {
    const until = performance.now() + RETURN_MS
    let isLed = true
    const letGo = (): void => void (isLed = false)
    for (const kind of MOVES) window.addEventListener(kind, letGo, { once: true, passive: true })
    for (let settled = 0; settled < SETTLED; settled += 1) {
      if (!isLed || performance.now() > until || router.currentRoute.value.fullPath !== path) break
      if (Math.abs(window.scrollY - top) > CLOSE) {
        window.scrollTo({ top })
        settled = 0
      }
      await new Promise(requestAnimationFrame)
    }
    for (const kind of MOVES) window.removeEventListener(kind, letGo)
    return false
  }

  router.afterEach((to) => {
    const place = typeof to.params['sessionId'] === 'string' ? to.params['sessionId'] : to.meta['title']
    document.title = `${String(place)} · TAC Orchestrator`
  })
  return router
}

/** All views are fetched before they are asked for: the server may be away then, or have another page. */
export function fetchViews(): void {
  for (const { component } of routes) if (typeof component === 'function') void (component as () => Promise<unknown>)().catch(() => undefined)
}

export function sessionPlace(sessionId: string, query: Record<string, string> = {}): RouteLocationRaw {
  return { name: 'session', params: { sessionId }, query }
}

export function promptPlace(id: string): RouteLocationRaw {
  return { name: 'prompt', params: { id } }
}
