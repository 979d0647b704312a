import vue from '@vitejs/plugin-vue'
import { defineConfig, type ProxyOptions } from 'vite'

const SERVER = 'http://127.0.0.1:7717'

/** While the page is developed: its data come from a server that takes no other origin than its own. */
const proxied: ProxyOptions = { target: SERVER, changeOrigin: true, ws: true, headers: { origin: SERVER } }

export default defineConfig({
  plugins: [vue()],
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: { checks: { pluginTimings: false } },
  },
  server: { proxy: { '/api': proxied } },
})
