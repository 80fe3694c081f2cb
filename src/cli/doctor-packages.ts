/** How what is missing is installed, by the package manager that this machine has. */
import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import type { Environment } from '../base/config.js';

/** What Tenon may want to have installed. */
export type Package = 'c' | 'c++' | 'cmake' | 'ninja' | 'binutils';

interface Manager {
  readonly program: string;
  readonly install: string;
  readonly packages: Readonly<Record<Package, string>>;
}

const managers: readonly Manager[] = [
  {
    program: 'apt-get',
    install: 'apt-get install',
    packages: { c: 'gcc libc6-dev', 'c++': 'g++', cmake: 'cmake', ninja: 'ninja-build', binutils: 'binutils' },
  },
  {
    program: 'dnf',
    install: 'dnf install',
    packages: { c: 'gcc', 'c++': 'gcc-c++', cmake: 'cmake', ninja: 'ninja-build', binutils: 'binutils' },
  },
  {
    program: 'yum',
    install: 'yum install',
    packages: { c: 'gcc', 'c++': 'gcc-c++', cmake: 'cmake', ninja: 'ninja-build', binutils: 'binutils' },
  },
  {
    program: 'zypper',
    install: 'zypper install',
    packages: { c: 'gcc', 'c++': 'gcc-c++', cmake: 'cmake', ninja: 'ninja', binutils: 'binutils' },
  },
  {
    program: 'pacman',
    install: 'pacman -S',
    packages: { c: 'gcc', 'c++': 'gcc', cmake: 'cmake', ninja: 'ninja', binutils: 'binutils' },
  },
  {
    program: 'apk',
    install: 'apk add',
    packages: { c: 'gcc musl-dev', 'c++': 'g++ musl-dev', cmake: 'cmake', ninja: 'ninja', binutils: 'binutils' },
  },
];

/** Package managers are rarely on a PATH that was cut down. */
const usualFolders = ['/usr/bin', '/usr/sbin', '/bin', '/sbin', '/usr/local/bin', '/opt/homebrew/bin'];

/** A command that installs `what`, as one clause. */
export function installing(what: Package, env: Environment): string {
  if (process.platform === 'darwin')
    return what === 'c' || what === 'c++' ? 'run `xcode-select --install`' : `run \`brew install ${what}\``;
  const found = managers.find(({ program }) => isInstalled(program, env));
  if (found === undefined) return `install ${what === 'c' ? 'a C compiler' : what === 'c++' ? 'a C++ compiler' : what}`;
  return `run \`${found.install} ${found.packages[what]}\`, as root`;
}

function isInstalled(program: string, env: Environment): boolean {
  const folders = [
    ...(env['PATH'] ?? '').split(path.delimiter).filter((folder) => path.isAbsolute(folder)),
    ...usualFolders,
  ];
  return folders.some((folder) => {
    try {
      accessSync(path.join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
