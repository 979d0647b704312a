import { createRouter, createWebHistory, type RouteLocationRaw } from 'vue-router'

import SessionsPage from './pages/SessionsPage.vue'

export const router = createRouter({
  history: createWebHistory(),
  routes: [
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
  ],
  scrollBehavior(to, from, saved) {
    return to.path === from.path ? {} : (saved ?? { top: 0 })
  },
})

router.afterEach((to) => {
  const place = typeof to.params['sessionId'] === 'string' ? to.params['sessionId'] : to.meta['title']
  document.title = `${String(place)} · TAC Orchestrator`
})

export function sessionPlace(sessionId: string, query: Record<string, string> = {}): RouteLocationRaw {
  return { name: 'session', params: { sessionId }, query }
}

export function promptPlace(id: string): RouteLocationRaw {
  return { name: 'prompt', params: { id } }
}
