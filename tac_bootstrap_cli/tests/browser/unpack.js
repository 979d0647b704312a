// Unpacks the browser, the fonts, and the libraries that a bare machine lacks, into the folder that TMPDIR names.
import { inflate } from '@sparticuz/chromium'

const packed = new URL('../bin/', import.meta.resolve('@sparticuz/chromium'))
const names = ['chromium.br', 'fonts.tar.br', 'swiftshader.tar.br', 'al2023.tar.br']
await Promise.all(names.map((name) => inflate(new URL(name, packed).pathname)))
