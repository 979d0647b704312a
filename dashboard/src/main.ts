import { createApp } from 'vue'

import { isLetIn, logIn, refusal, takeCode } from './api/access'
import { Problem } from './api/problem'
import App from './App.vue'
import { fetchViews, makeRouter } from './router'
import { applyTheme } from './shared/theme'
import './styles/base.css'

applyTheme()
const code = takeCode()
if (code !== null) {
  // A link that was used up is no matter to a browser that was let in already.
  await logIn(code).catch((error: unknown) => {
    if (!(error instanceof Problem)) throw error
    refusal.value = error
  })
}
isLetIn.value = true
createApp(App).use(makeRouter()).mount('#app')
fetchViews()
