// A healthy plugin for the load test: newline JSON-RPC, MCP's answer to `initialize`, {} to everything else at once, save
// `hold`, which it answers 32 ms later. As many at a time as come.
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#define HELD 65536
#define MS 32
static struct { double due; char id[40]; } held[HELD];
static unsigned first, next;
static double now(void){struct timespec t;clock_gettime(CLOCK_MONOTONIC,&t);return t.tv_sec*1e3+t.tv_nsec/1e6;}
static void answer(const char*id,const char*result){
  char b[512];int n=snprintf(b,sizeof b,"{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":%s}\n",id,result);
  for(int k=0;k<n;){long w=write(1,b+k,n-k);if(w<=0)exit(0);k+=w;}}
static void line(char*m){
  char*id=strstr(m,"\"id\":"),*me=strstr(m,"\"method\":\"");if(!id||!me)return;
  char text[40];size_t n=strcspn(id+=5,",}");if(n>=sizeof text)return;memcpy(text,id,n);text[n]=0;me+=10;
  if(!strncmp(me,"hold\"",5)&&next-first<HELD){held[next%HELD].due=now()+MS;strcpy(held[next++%HELD].id,text);}
  else if(!strncmp(me,"initialize\"",11))answer(text,"{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{\"tools\":{}},\"serverInfo\":{\"name\":\"hold\",\"version\":\"1\"}}");
  else answer(text,"{}");}
int main(void){
  static char b[1<<20];size_t len=0;
  for(;;){
    double t=now();while(first!=next&&held[first%HELD].due<=t)answer(held[first++%HELD].id,"{}");
    struct pollfd p={0,POLLIN,0};int wait=first==next?-1:(int)(held[first%HELD].due-t)+1;
    if(poll(&p,1,wait)<=0)continue;
    long k=read(0,b+len,sizeof b-1-len);if(k<=0)return 0;len+=k;b[len]=0;
    char*from=b,*e;while((e=memchr(from,'\n',b+len-from))){*e=0;line(from);from=e+1;}
    len-=from-b;memmove(b,from,len);}}
